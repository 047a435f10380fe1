// When a connection whose data does not arrive is given up. Neither a circuit that opens nor bytes that leave nor the
// word that the other process lives is payload that arrives: where small packets pass and large ones do not, all three
// come for ever. Judged by what has changed since the last look, so that no clock is read while data moves. Pure.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>

#include "base/clock.h"

namespace relay::stream {

class Standstill {
 public:
  // `patience`: how long what is waited for may take while nothing arrives.
  explicit Standstill(Duration patience)
      : patience_(patience), ask_after_(std::min<Duration>(patience / 4, std::chrono::seconds(1))) {}

  static constexpr int64_t kNone = -1;
  // So many circuits in a row over which nothing arrived: their opening shows that the other process does answer.
  static constexpr uint64_t kEnough = 2;

  struct Facts {
    int64_t circuit = kNone;  // its epoch
    bool waiting = false;     // something is outstanding
    uint64_t reached = 0;     // grows with payload that has come over
    uint64_t answers = 0;     // to PING: they come behind what was sent before them
    bool beside = false;      // a device has messages under way, and the answers come by another way
  };
  struct Verdict {
    bool ask = false;   // by PING
    bool over = false;  // it has taken too long
  };

  Verdict Judge(TimePoint now, const Facts& facts) {
    Look(now, facts);
    Verdict verdict;
    verdict.over = facts.waiting && now - since_ > patience_;
    verdict.ask = facts.waiting && facts.circuit != kNone && now - std::max(since_, asked_) > ask_after_;
    if (verdict.ask) asked_ = now;
    return verdict;
  }

  // The other end's process is there. A process that is stopped takes no circuit, and may be so for as long as it
  // likes.
  void PeerLives() { alive_ = true; }

  // So many circuits were taken and brought nothing that the path lets nothing through that is of any size.
  bool enough() const { return circuits_ >= kEnough; }
  // Why a connection ends then. `path`: of its circuit, present or last.
  std::string WhyOver(const std::string& path) const;

 private:
  void Look(TimePoint now, const Facts& facts) {
    // A thread that waits for a core hears nothing either: its own sleep is no standstill.
    const Duration slept = now - looked_at_ - patience_ / 4;
    if (slept > Duration::zero()) since_ = std::min(now, since_ + slept);
    looked_at_ = now;
    const bool answered = facts.answers != answers_ && !(facts.beside && enough());
    const bool begins = facts.waiting && !waiting_;
    if (facts.circuit != circuit_ && facts.circuit != kNone) ++circuits_;
    if (facts.reached != reached_ || answered || begins) {
      since_ = now;
      circuits_ = 0;
    }
    if (alive_ && !enough()) since_ = now;
    circuit_ = facts.circuit;
    waiting_ = facts.waiting;
    reached_ = facts.reached;
    answers_ = facts.answers;
    alive_ = false;
  }

  const Duration patience_, ask_after_;
  int64_t circuit_ = kNone;
  bool waiting_ = false, alive_ = false;
  uint64_t reached_ = 0, answers_ = 0;
  uint64_t circuits_ = 0;  // taken since anything arrived
  TimePoint looked_at_{}, since_{}, asked_{};
};

}  // namespace relay::stream
