// The system's clock, which a test may stop: what waits for a while then waits until the test lets time go on, however
// long the machine takes.
#pragma once
#include <atomic>

#include "base/clock.h"

namespace relay::fake {

// Any thread.
class HeldClock final : public Clock {
 public:
  TimePoint Now() const override {
    const Duration held(held_.load());
    return held == Duration::zero() ? system_.Now() : TimePoint(held);
  }
  void Hold() { held_ = system_.Now().time_since_epoch().count(); }
  // Time has not stood still meanwhile: it is what it is.
  void Release() { held_ = 0; }

 private:
  SystemClock system_;
  std::atomic<Duration::rep> held_{0};  // 0: it runs
};

}  // namespace relay::fake
