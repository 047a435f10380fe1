// When an end of a connection asks for a sign of life, and doubts its circuit. Judged by what has changed since the
// last look, so that no clock is read while data moves. Pure.
#pragma once
#include <algorithm>

#include "base/clock.h"

namespace relay::stream {

class Silence {
 public:
  explicit Silence(Duration recover_timeout)
      : ask_after_(std::min<Duration>(recover_timeout / 4, std::chrono::seconds(1))),
        doubt_after_(std::min<Duration>(recover_timeout / 2, std::chrono::seconds(3))) {}

  static constexpr int64_t kNone = -1;
  struct Facts {
    int64_t circuit = kNone;  // its epoch
    bool waiting = false;     // something is outstanding
    uint64_t moved = 0;       // grows with what the circuit takes or brings, but for questions of the other end
    uint64_t answers = 0;     // to PING
  };
  struct Verdict {
    bool ping = false;   // ask the other end
    bool doubt = false;  // the circuit may be dead: look for another
    bool soon = false;   // look again in a moment
  };

  Verdict Judge(TimePoint now, const Facts& facts) {
    Look(now, facts);
    Verdict verdict;
    verdict.soon = warned_ || (facts.circuit == kNone && facts.waiting);
    if (facts.circuit == kNone) return verdict;
    const bool silent = facts.waiting && now - last_sign_ > ask_after_;
    if (fresh_ || (silent && now - last_ping_ > ask_after_)) {
      verdict.ping = true;
      last_ping_ = now;
    }
    fresh_ = false;
    verdict.doubt = (facts.waiting && now - last_sign_ > doubt_after_) || (warned_ && now - warned_at_ > kProofTime);
    return verdict;
  }

  // Somebody says that a link of this circuit is gone: it has to prove that it is not.
  void Warn(int64_t circuit) {
    fresh_ = warned_ = unstamped_ = true;
    warned_of_ = circuit;
  }
  // The other end lives, whatever its circuit does.
  void Alive() { alive_ = true; }

 private:
  // A round trip, with processes that wait for a core at every node of it.
  static constexpr Duration kProofTime = std::chrono::milliseconds(200);

  void Look(TimePoint now, const Facts& facts) {
    // A thread that waits for a core hears nothing either: its own sleep is not the other end's silence.
    const Duration slept = now - looked_at_ - 2 * ask_after_;
    if (slept > Duration::zero()) {
      last_sign_ = std::min(now, last_sign_ + slept);
      warned_at_ = std::min(now, warned_at_ + slept);
    }
    looked_at_ = now;
    if (unstamped_) {
      warned_at_ = now;
      answers_when_warned_ = facts.answers;
      unstamped_ = false;
    }
    const bool other = facts.circuit != circuit_;
    // What was on its way already, or is still to be read, proves nothing.
    if (facts.circuit != warned_of_ || facts.answers != answers_when_warned_) warned_ = fresh_ = false;
    if (other || facts.moved != moved_ || (facts.waiting && !waiting_) || alive_) last_sign_ = last_ping_ = now;
    circuit_ = facts.circuit;
    waiting_ = facts.waiting;
    moved_ = facts.moved;
    alive_ = false;
  }

  const Duration ask_after_, doubt_after_;
  int64_t circuit_ = kNone, warned_of_ = kNone;
  bool waiting_ = false, alive_ = false;
  bool warned_ = false, fresh_ = false, unstamped_ = false;
  uint64_t moved_ = 0, answers_when_warned_ = 0;
  TimePoint looked_at_{}, last_sign_{}, last_ping_{}, warned_at_{};
};

}  // namespace relay::stream
