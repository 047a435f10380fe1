// Log lines that strangers cause: a flood of bad calls must not become a flood of lines. One thread.
#pragma once
#include <map>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace relay::agent {

class RateLimitedLog {
 public:
  explicit RateLimitedLog(const Clock& clock) : clock_(clock) {}

  // `kind` is one of few constants: each kind has its own allowance, so that none hides another. What was kept back is
  // counted in the next line of that kind.
  void Warn(std::string_view kind, const std::string& line) { Write(kind, line, true); }
  void Info(std::string_view kind, const std::string& line) { Write(kind, line, false); }

 private:
  struct Kind {
    double allowance;  // lines
    TimePoint at;
    uint64_t kept_back = 0;
  };
  void Write(std::string_view kind, const std::string& line, bool warn);

  const Clock& clock_;
  std::map<std::string, Kind, std::less<>> kinds_;
};

}  // namespace relay::agent
