// A process's end of the agent's control socket: the plugin's context and the tools hold one. One thread at a time.
#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "control/socket.h"
#include "relay/control.h"

namespace relay::control {

struct ClientOptions {
  std::string socket;                            // knob socket
  bool start_agent = true;                       // knob agent is "auto"
  std::string agent_log;                         // knob agent_log
  std::string build = RELAY_VERSION;             // of whoever asks
  std::string plugin = {};                       // its file; empty: a tool
  std::string agent_program;                     // empty: found beside this library, or this library itself
  Duration deadline = std::chrono::seconds(30);  // of Connect, from its call on
};

class Client {
 public:
  // Tries every socket name, starts an agent when none answers and waits for WELCOME. The only call that blocks.
  static Result<std::unique_ptr<Client>> Connect(const ClientOptions& options, const Clock& clock);

  const Welcome& welcome() const { return welcome_; }
  pid_t agent_pid() const { return agent_pid_; }
  int fd() const { return fd_.get(); }  // for epoll: readable, and writable while wants_write()

  // Never blocks: what the agent does not take now waits here, in order, and goes with the next Send or Flush.
  // kRemote: the agent is gone, or has not read for very long.
  Status Send(const Packet& packet);
  Status Flush();
  bool wants_write() const { return !outbox_.empty(); }
  // nullopt: nothing there. kRemote: the agent is gone.
  Result<std::optional<Received>> Receive();

 private:
  Client(Fd fd, pid_t agent_pid) : fd_(std::move(fd)), agent_pid_(agent_pid) {}
  friend class Connector;

  Fd fd_;
  pid_t agent_pid_;
  Welcome welcome_;
  std::deque<std::vector<std::byte>> outbox_;
};

// One question (control::Query lists them), its whole answer's text. Blocks until the deadline; the client
// must have no other request under way.
Result<std::string> Ask(Client& client, const std::string& question, Duration deadline, const Clock& clock);

}  // namespace relay::control
