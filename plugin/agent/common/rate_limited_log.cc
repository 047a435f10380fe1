#include "agent/common/rate_limited_log.h"

#include <algorithm>
#include <cinttypes>

#include "agent/trust/printable.h"
#include "base/log.h"

namespace relay::agent {
namespace {

constexpr double kLinesAtOnce = 3;
constexpr double kLinesPerSecond = 1.0 / 20;

}  // namespace

void RateLimitedLog::Write(std::string_view kind, const std::string& line, bool warn) {
  const TimePoint now = clock_.Now();
  auto it = kinds_.find(kind);
  if (it == kinds_.end()) it = kinds_.emplace(std::string(kind), Kind{kLinesAtOnce, now}).first;
  Kind& k = it->second;
  k.allowance = std::min(kLinesAtOnce, k.allowance + Seconds(now - k.at) * kLinesPerSecond);
  k.at = now;
  if (k.allowance < 1) {
    ++k.kept_back;
    return;
  }
  k.allowance -= 1;
  std::string text = Printable(line);
  if (k.kept_back > 0) text += " (and " + std::to_string(k.kept_back) + " such lines kept back before)";
  k.kept_back = 0;
  if (warn) {
    RELAY_WARN("%s", text.c_str());
  } else {
    RELAY_INFO("%s", text.c_str());
  }
}

}  // namespace relay::agent
