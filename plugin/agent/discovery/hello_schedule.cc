#include "agent/discovery/hello_schedule.h"

#include <algorithm>

namespace relay::agent {
namespace {

// Twice the jitter: ports that were in step once stay so.
constexpr Duration kTogether = kHelloPeriod / 5;

}  // namespace

// xorshift64: spreads moments, protects nothing.
uint64_t HelloSchedule::Random() {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_;
}

bool HelloSchedule::Spend(TimePoint now) {
  tokens_ = std::min(kAnswersAtOnce, tokens_ + Seconds(now - tokens_at_) * kAnswersPerSecond);
  tokens_at_ = now;
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

void HelloSchedule::Start(TimePoint now) {
  burst_start_ = now;
  burst_step_ = 0;
  chasing_ = false;
  period_due_ = now;
}

void HelloSchedule::Answer(TimePoint now, Duration spread) {
  if (answer_due_) return;
  const auto nanoseconds = static_cast<uint64_t>(std::max(spread.count(), Duration::rep{1}));
  answer_due_ = now + Duration(static_cast<Duration::rep>(Random() % nanoseconds));
}

void HelloSchedule::Chase(TimePoint now, Duration spread) {
  Answer(now, spread);
  if (burst_step_ < kBurst.size()) return;  // one is under way
  burst_start_ = now;
  burst_step_ = 1;
  chasing_ = true;
}

void HelloSchedule::GoAlong(TimePoint now) {
  if (period_due_ - now <= kTogether) period_due_ = std::min(period_due_, now);
}

TimePoint HelloSchedule::due() const {
  TimePoint next = period_due_;
  if (answer_due_) next = std::min(next, *answer_due_);
  if (burst_step_ < kBurst.size()) next = std::min(next, burst_start_ + kBurst[burst_step_]);
  return next;
}

bool HelloSchedule::Take(TimePoint now, bool unanswered) {
  bool free = period_due_ <= now, bought = false;
  while (burst_step_ < kBurst.size() && burst_start_ + kBurst[burst_step_] <= now) {
    ++burst_step_;
    if (!chasing_) free = true;
    if (chasing_ && unanswered) bought = true;
  }
  if (answer_due_ && *answer_due_ <= now) bought = true;
  if (!free && !bought) return false;
  if (!free && !Spend(now)) {
    // Later, when the budget has grown by one.
    answer_due_ = now + std::chrono::ceil<Duration>(std::chrono::duration<double>((1 - tokens_) / kAnswersPerSecond));
    return false;
  }
  answer_due_.reset();
  // Between 90 % and 110 % of the period: agents that start together do not stay in step.
  const auto tenth = static_cast<uint64_t>(kHelloPeriod.count() / 10);
  period_due_ = now + kHelloPeriod - kHelloPeriod / 10 + Duration(static_cast<Duration::rep>(Random() % (2 * tenth)));
  return true;
}

}  // namespace relay::agent
