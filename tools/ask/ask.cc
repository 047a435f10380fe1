#include "ask/ask.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "relay/knobs.h"

namespace relay::tools {
namespace {

Result<std::string> Answer(const std::string& question) {
  auto line = AgentLine::Open();
  RELAY_TRY(line);
  return line->Ask(question);
}

}  // namespace

Result<AgentLine> AgentLine::Open(const std::string& socket, Duration deadline) {
  control::ClientOptions options;
  options.socket = socket;
  if (socket.empty()) {
    auto knobs = LoadKnobs([](const char* name) -> const char* { return std::getenv(name); }, environ);
    RELAY_TRY(knobs);
    options.socket = knobs->socket;
  }
  options.start_agent = false;
  options.deadline = deadline;
  auto client = control::Client::Connect(options, SystemClock());
  if (!client) {
    // Whatever keeps the agent from answering, it is not how the question was asked.
    Error error = std::move(client).error();
    error.code = ErrorCode::kRemote;
    return tl::unexpected(std::move(error));
  }
  return AgentLine(std::move(*client));
}

Result<std::string> AgentLine::Ask(const std::string& question, Duration deadline) {
  return control::Ask(*client_, question, deadline, SystemClock());
}

int AskAgent(const std::string& question) {
  auto answer = Answer(question);
  if (!answer) {
    std::fprintf(stderr, "nccl-relay %s: %s\n", question.c_str(), answer.error().what.c_str());
    return 1;
  }
  std::puts(answer->c_str());
  return 0;
}

}  // namespace relay::tools
