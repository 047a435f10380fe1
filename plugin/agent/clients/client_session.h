// One process on the control socket.
#pragma once
#include <deque>
#include <functional>
#include <string_view>
#include <vector>

#include "agent/clients/token_registry.h"
#include "agent/common/budget.h"
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

  using MakeWelcome = std::function<control::Welcome()>;

  ClientSession(EventLoop& loop, Fd fd, pid_t pid, const MakeWelcome& welcome, Budget::Lease lease, Events events);
  ~ClientSession();
  ClientSession(const ClientSession&) = delete;
  ClientSession& operator=(const ClientSession&) = delete;

  Status Start();
  pid_t pid() const { return pid_; }
  // Its build, and the file of its plugin. Empty until it has greeted.
  const control::Hello& hello() const { return hello_; }
  // Queued when the client does not read now; a client that never reads is ended.
  void Send(const control::Packet& packet, Fd passed = {});
  // The text goes in as many packets as it takes.
  void Answer(uint64_t request, std::string_view text);

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
  const MakeWelcome& welcome_;  // as things stand when it greets
  Budget::Lease lease_;
  Events events_;
  std::deque<Queued> outbox_;
  control::Hello hello_;
  bool greeted_ = false;
  bool ending_ = false;
};

}  // namespace relay::agent
