// One process on the control socket.
#pragma once
#include <deque>
#include <functional>
#include <vector>

#include "agent/budget.h"
#include "agent/token_registry.h"
#include "base/event_loop.h"
#include "control/socket.h"

namespace relay::agent {

class ClientSession {
 public:
  // What the session asks of its server, all with this session's id.
  struct Events {
    std::function<void(control::Packet)> packet;  // anything after HELLO
    std::function<void()> ended;                  // destroys the session, later
  };

  ClientSession(EventLoop& loop, Fd fd, pid_t pid, const control::Welcome& welcome, Budget::Lease lease, Events events);
  ~ClientSession();
  ClientSession(const ClientSession&) = delete;
  ClientSession& operator=(const ClientSession&) = delete;

  Status Start();
  pid_t pid() const { return pid_; }
  // Queued when the client does not read now; a client that never reads is ended.
  void Send(const control::Packet& packet, Fd passed = {});

 private:
  struct Queued {
    std::vector<std::byte> bytes;
    Fd passed;
  };
  void OnEvents(uint32_t events);
  void ReceiveAll();
  void Greet(const control::Packet& packet);
  void Flush();
  void End();

  EventLoop& loop_;
  Fd fd_;
  const pid_t pid_;
  const control::Welcome& welcome_;
  Budget::Lease lease_;
  Events events_;
  std::deque<Queued> outbox_;
  bool greeted_ = false;
  bool ending_ = false;
};

}  // namespace relay::agent
