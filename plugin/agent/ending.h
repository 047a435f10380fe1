// How an agent ends by itself: when nobody has needed it for a while, or when it was told to and what passes here is
// done.
#pragma once
#include <functional>

#include "agent/clients/control_server.h"
#include "agent/relay/relay.h"
#include "agent/setup/circuit_table.h"
#include "base/event_loop.h"

namespace relay::agent {

class Ending {
 public:
  Ending(EventLoop& loop, const ControlServer& clients, const Relay& relay, const CircuitTable& circuits);
  ~Ending() { loop_.Cancel(timer_); }
  Ending(const Ending&) = delete;
  Ending& operator=(const Ending&) = delete;

  // Stops the loop after `linger` without a client or a circuit.
  void WhenIdle(Duration linger);
  // Calls `leave` and stops the loop when no circuit passes here any more, or `longest` is over.
  void WhenDrained(Duration longest, std::function<void()> leave);

 private:
  void LookDrained(TimePoint until, const std::function<void()>& leave);

  EventLoop& loop_;
  const ControlServer& clients_;
  const Relay& relay_;
  const CircuitTable& circuits_;
  TimePoint busy_until_;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace relay::agent
