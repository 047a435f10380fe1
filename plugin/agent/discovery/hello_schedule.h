// When hellos leave by one port: a burst at the start, then every second; answers as soon as a budget allows, so that
// no flood of strangers and no circle of answers becomes a storm. Pure.
#pragma once
#include <array>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace relay::agent {

inline constexpr Duration kHelloPeriod = std::chrono::seconds(1);  // with +-10 % of jitter
// Three hellos lost in a row, the jitter, and half a second of a busy host.
inline constexpr Duration kSilence = std::chrono::milliseconds(3500);

class HelloSchedule {
 public:
  // Besides burst and period: this many at once, then so many each second.
  static constexpr double kAnswersAtOnce = 8, kAnswersPerSecond = 4;
  static constexpr std::array<Duration, 6> kBurst = {std::chrono::milliseconds(0),   std::chrono::milliseconds(50),
                                                     std::chrono::milliseconds(100), std::chrono::milliseconds(200),
                                                     std::chrono::milliseconds(400), std::chrono::milliseconds(800)};

  explicit HelloSchedule(uint64_t seed) : random_(seed | 1) {}

  // The port is there: the whole burst.
  void Start(TimePoint now);
  // One hello soon: at a random moment within `spread`, so that a large LAN does not answer in chorus.
  void Answer(TimePoint now, Duration spread);
  // An answer, and the burst's repetitions for as long as somebody heard does not hear us.
  void Chase(TimePoint now, Duration spread);

  // Another port's hello leaves now: this one's next goes with it, if it would soon. One waking instead of two.
  void GoAlong(TimePoint now);

  TimePoint due() const;
  TimePoint period_due() const { return period_due_; }
  // True when a hello has to leave now. `unanswered`: somebody is heard who does not say that he hears us.
  bool Take(TimePoint now, bool unanswered);

 private:
  uint64_t Random();
  bool Spend(TimePoint now);

  uint64_t random_;
  TimePoint period_due_{};  // of the next regular hello
  std::optional<TimePoint> answer_due_;
  TimePoint burst_start_{};
  size_t burst_step_ = kBurst.size();
  bool chasing_ = false;
  double tokens_ = kAnswersAtOnce;
  TimePoint tokens_at_{};
};

}  // namespace relay::agent
