// Signs of life at the rendezvous: when this rank owes the others one, and which of them owes it one. The caller tells
// the time.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace relay::perf {

class Signs {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::milliseconds;

  // Nobody may be silent for `limit`.
  explicit Signs(Duration limit) : limit_(limit) {}

  // Several of them fit into the limit, so that one that is late does no harm.
  Duration interval() const { return std::min(Duration(1000), limit_ / 4); }

  // True when a sign is due; it counts as given then.
  bool Due(TimePoint now) {
    if (now < next_) return false;
    next_ = now + interval();
    return true;
  }

  // From now on these many are waited for.
  void Await(size_t peers, TimePoint now) { heard_.assign(peers, now); }
  void Heard(size_t peer, TimePoint now) { heard_[peer] = now; }
  bool Silent(size_t peer, TimePoint now) const { return now - heard_[peer] >= limit_; }

 private:
  const Duration limit_;
  TimePoint next_{};
  std::vector<TimePoint> heard_;
};

}  // namespace relay::perf
