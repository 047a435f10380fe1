// The longest time in which requests were outstanding and none was completed: how long a fault held the rank up.
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace relay::perf {

// One thread counts, any may ask. Two readings of the clock per request at most.
class GapMeter {
 public:
  using Clock = std::chrono::steady_clock;

  void Posted(Clock::time_point now) {
    if (outstanding_++ == 0) since_ = now;
  }
  void Completed(Clock::time_point now) {
    const int64_t gap = std::chrono::duration_cast<std::chrono::nanoseconds>(now - since_).count();
    longest_.store(std::max(gap, longest_.load(std::memory_order_relaxed)), std::memory_order_relaxed);
    since_ = now;
    --outstanding_;
  }
  std::chrono::nanoseconds longest() const {
    return std::chrono::nanoseconds(longest_.load(std::memory_order_relaxed));
  }

 private:
  uint64_t outstanding_ = 0;
  Clock::time_point since_{};
  std::atomic<int64_t> longest_{0};
};

}  // namespace relay::perf
