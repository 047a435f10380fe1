// When the service thread goes its rounds: looks whether NCCL still drives, and keeps house, which is where deadlines
// are judged. Pure; service thread only.
#pragma once
#include <algorithm>

#include "base/clock.h"

namespace relay::stream {

class Rounds {
 public:
  // `housekeeping`: how often while time matters.
  explicit Rounds(Duration housekeeping) : housekeeping_(housekeeping) {}

  // `looks`: some stream is NCCL's to drive.
  Duration LongestSleep(TimePoint now, bool looks) const {
    Duration longest = looks ? next_look_ - now : Duration::max();
    if (waits_) longest = std::min<Duration>(longest, next_housekeeping_ - now);
    return std::max(longest, Duration::zero());
  }
  // True: it is time to, and the next one is after a while.
  bool HousekeepingIsDue(TimePoint now) {
    if (now < next_housekeeping_) return false;
    next_housekeeping_ = now + (soon_ ? std::min(housekeeping_, kSoon) : housekeeping_);
    return true;
  }
  bool LookIsDue(TimePoint now) {
    if (now < next_look_) return false;
    next_look_ = now + kLookInterval;
    return true;
  }
  // `waits`: time matters to some stream; `soon`: and a moment of it does.
  void Settle(TimePoint now, bool waits, bool soon) {
    waits_ = waits;
    soon_ = soon;
    if (soon) next_housekeeping_ = std::min(next_housekeeping_, now + kSoon);
  }

 private:
  static constexpr Duration kLookInterval = std::chrono::milliseconds(10);
  // While a stream has no circuit, or has to prove that it has one: a fraction of what its recovery may cost.
  static constexpr Duration kSoon = std::chrono::milliseconds(20);

  const Duration housekeeping_;
  TimePoint next_look_{}, next_housekeeping_{};
  bool waits_ = false, soon_ = false;
};

}  // namespace relay::stream
