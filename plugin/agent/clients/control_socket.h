// The names under which an agent is found. One agent has a name at a time; it disappears with the agent.
#pragma once
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "control/socket.h"
#include "relay/result.h"

namespace relay::agent {

class ControlSocket {
 public:
  // Which other agent has one of the names already.
  struct Taken {
    std::string name;
    pid_t pid = 0;
  };

  // Waits a moment for an agent that is just ending. `taken` is set when the error is
  // that another one serves.
  static Result<ControlSocket> Bind(const std::vector<std::string>& names, std::optional<Taken>& taken,
                                    control::Users users = control::Users::kOwnAndRoot);

  ControlSocket(ControlSocket&&) = default;
  ControlSocket& operator=(ControlSocket&&) = delete;
  ~ControlSocket();
  const std::vector<std::string>& names() const { return names_; }
  control::Users users() const { return users_; }
  const std::vector<Fd>& fds() const { return fds_; }

 private:
  ControlSocket() = default;
  control::Users users_ = control::Users::kOwnAndRoot;
  std::vector<std::string> names_;
  std::vector<Fd> fds_;
  std::vector<Fd> locks_;  // of the names that are paths
};

}  // namespace relay::agent
