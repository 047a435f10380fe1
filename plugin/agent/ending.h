// How an agent ends by itself: when nobody has needed it for a while, when those whom it serves want another one, or
// when it was told to and what passes here is done.
#pragma once
#include <functional>
#include <set>
#include <string>

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
  // This client would rather start an agent of its own. "yes": the loop stops, because nothing passes here and every
  // other client has said the same; else what keeps it, for a sentence.
  std::string GiveWay(ClientId client);
  // A process that may not speak to this agent wants to start one. True: the loop stops, because nobody is served.
  bool GiveWayToAnother();
  void Gone(ClientId client) { willing_.erase(client); }
  // Calls `leave` and stops the loop when no circuit passes here any more, or `longest` is over.
  void WhenDrained(Duration longest, std::function<void()> leave);

 private:
  bool idle() const { return relay_.size() == 0 && circuits_.idle(); }
  void StopSoon();
  void LookDrained(TimePoint until, const std::function<void()>& leave);

  EventLoop& loop_;
  const ControlServer& clients_;
  const Relay& relay_;
  const CircuitTable& circuits_;
  std::set<ClientId> willing_;  // to have another agent
  TimePoint busy_until_;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace relay::agent
