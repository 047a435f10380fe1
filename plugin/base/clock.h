// Time as every module sees it, so that tests turn the hands themselves (test/fake/manual_clock.h).
#pragma once
#include <chrono>
#include <cstdio>
#include <string>

namespace relay {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() const = 0;
};

// CLOCK_MONOTONIC. Stateless, any thread.
class SystemClock final : public Clock {
 public:
  TimePoint Now() const override { return std::chrono::steady_clock::now(); }
};

inline double Seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

// "0.25 s", "30 s": for sentences.
inline std::string SecondsText(Duration d) {
  char text[32];
  snprintf(text, sizeof text, "%g s", Seconds(d));
  return text;
}

}  // namespace relay
