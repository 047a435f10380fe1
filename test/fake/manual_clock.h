// A clock whose hands the test turns.
#pragma once
#include "base/clock.h"

namespace relay::fake {

class ManualClock final : public Clock {
 public:
  TimePoint Now() const override { return now_; }
  void Advance(Duration d) { now_ += d; }

 private:
  TimePoint now_{std::chrono::hours(1)};
};

}  // namespace relay::fake
