// Questions to the agent of this node, over its control socket. Never starts an agent.
#pragma once
#include <memory>
#include <string>

#include "base/clock.h"
#include "control/client.h"
#include "relay/result.h"

namespace relay::tools {

class AgentLine {
 public:
  // `socket` as NCCL_RELAY_SOCKET; empty: what that says, else the usual names.
  static Result<AgentLine> Open(const std::string& socket = {}, Duration deadline = std::chrono::seconds(5));

  // The whole answer. An error ends the line: open another.
  Result<std::string> Ask(const std::string& question, Duration deadline = std::chrono::seconds(5));
  const control::Welcome& welcome() const { return client_->welcome(); }

 private:
  explicit AgentLine(std::unique_ptr<control::Client> client) : client_(std::move(client)) {}
  std::unique_ptr<control::Client> client_;
};

// Prints the agent's answer to standard output. Returns the exit status.
int AskAgent(const std::string& question);

}  // namespace relay::tools
