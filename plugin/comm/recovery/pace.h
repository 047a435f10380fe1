// When to try again: soon, then ever less often. Pure.
#pragma once
#include <algorithm>

#include "base/clock.h"

namespace relay::comm {

class Pace {
 public:
  Pace(Duration first, Duration longest) : first_(first), longest_(longest), pause_(first) {}

  bool Due(TimePoint now) const { return now >= next_; }
  void Tried(TimePoint now) {
    next_ = now + pause_;
    pause_ = std::min<Duration>(2 * pause_, longest_);
  }
  void Reset() {
    pause_ = first_;
    next_ = {};
  }

 private:
  const Duration first_, longest_;
  Duration pause_;
  TimePoint next_{};
};

}  // namespace relay::comm
