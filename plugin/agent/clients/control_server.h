// The agent's end of the control socket: its names, and a session per client.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/clients/client_session.h"
#include "agent/clients/control_socket.h"
#include "relay/counters.h"

namespace relay::agent {

class ControlServer {
 public:
  struct Handlers {
    std::function<void(ClientId, control::Packet)> packet;
    std::function<void(ClientId)> gone;
    // Who is not served is told this: a user whose processes are not, in a sentence; a process for which no descriptor
    // is left.
    std::function<RefusedMessage(const std::string& who)> stranger;
    std::function<RefusedMessage(pid_t)> full;
  };

  ControlServer(EventLoop& loop, ControlSocket socket, ClientSession::MakeWelcome welcome, Budget& budget,
                Counters& counters, Handlers handlers);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  Status Start();
  // nullptr when that client is gone.
  ClientSession* Find(ClientId id);
  size_t size() const { return sessions_.size(); }
  const std::vector<std::string>& names() const { return socket_.names(); }
  const std::map<ClientId, std::unique_ptr<ClientSession>>& sessions() const { return sessions_; }

 private:
  void Accept(int listener);
  void Pause();
  void RemoveEnded();

  EventLoop& loop_;
  ControlSocket socket_;
  const ClientSession::MakeWelcome welcome_;
  Budget& budget_;
  Counters& counters_;
  Handlers handlers_;
  std::map<ClientId, std::unique_ptr<ClientSession>> sessions_;
  ClientId next_client_ = 1;
  std::vector<ClientId> ended_;
  EventLoop::TimerId remove_timer_ = 0;
  EventLoop::TimerId paused_ = 0;  // 0: clients are accepted
};

}  // namespace relay::agent
