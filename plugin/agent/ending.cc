#include "agent/ending.h"

#include <algorithm>

#include "base/log.h"

namespace relay::agent {
namespace {

// Whoever started this agent is on its way to it.
constexpr Duration kFirstClient = std::chrono::seconds(5);
// Between two looks whether the last circuit has ended.
constexpr Duration kDrainPause = std::chrono::milliseconds(50);

}  // namespace

Ending::Ending(EventLoop& loop, const ControlServer& clients, const Relay& relay, const CircuitTable& circuits)
    : loop_(loop),
      clients_(clients),
      relay_(relay),
      circuits_(circuits),
      busy_until_(loop.clock().Now() + kFirstClient) {}

void Ending::WhenIdle(Duration linger) {
  const TimePoint now = loop_.clock().Now();
  const bool busy = clients_.size() > 0 || !idle();
  if (busy) busy_until_ = now;
  if (!busy && now >= busy_until_ + linger) {
    RELAY_INFO("no client and no circuit for %g s: this agent ends", Seconds(linger));
    loop_.Stop();
    return;
  }
  const auto next = std::clamp<Duration>(linger / 4, std::chrono::milliseconds(20), std::chrono::seconds(1));
  timer_ = loop_.After(next, [this, linger] { WhenIdle(linger); });
}

std::string Ending::GiveWay(ClientId client) {
  if (!idle()) return "circuits pass through it";
  willing_.insert(client);
  const size_t others = clients_.size() - willing_.size();
  if (others > 0) return "it serves " + std::to_string(others) + " other process" + (others == 1 ? "" : "es");
  RELAY_INFO("%zu processes want an agent with other settings, and there is nobody else: this one ends",
             willing_.size());
  StopSoon();
  return "yes";
}

bool Ending::GiveWayToAnother() {
  if (clients_.size() > 0 || !idle() || loop_.clock().Now() < busy_until_) return false;
  StopSoon();
  return true;
}

// The answer leaves first.
void Ending::StopSoon() {
  loop_.Cancel(timer_);
  timer_ = loop_.After(Duration::zero(), [this] { loop_.Stop(); });
}

void Ending::WhenDrained(Duration longest, std::function<void()> leave) {
  loop_.Cancel(timer_);
  LookDrained(loop_.clock().Now() + longest, leave);
}

void Ending::LookDrained(TimePoint until, const std::function<void()>& leave) {
  const bool late = loop_.clock().Now() >= until;
  if (late && relay_.size() > 0)
    RELAY_WARN("%zu circuits that pass here are cut: they have not finished", relay_.size());
  if (!late && relay_.size() > 0) {
    timer_ = loop_.After(kDrainPause, [this, until, leave] { LookDrained(until, leave); });
    return;
  }
  leave();
  loop_.Stop();
}

}  // namespace relay::agent
