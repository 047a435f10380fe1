// Listens on every address of every port of this node, each socket tied to its port's interface.
#pragma once
#include <functional>
#include <vector>

#include "agent/local_node.h"
#include "base/event_loop.h"
#include "transport/tcp/listener.h"

namespace relay::agent {

class Acceptor {
 public:
  using OnCall = std::function<void(size_t port, transport::tcp::Accepted)>;

  Acceptor(EventLoop& loop, const LocalNode& node, OnCall on_call);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  Status Start();

 private:
  struct Listening {
    size_t port;
    transport::tcp::Listener listener;
  };
  void Accept(Listening& listening);
  void Pause();

  EventLoop& loop_;
  const LocalNode& node_;
  OnCall on_call_;
  std::vector<Listening> listeners_;
  EventLoop::TimerId paused_ = 0;
};

}  // namespace relay::agent
