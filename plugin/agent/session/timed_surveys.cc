#include "agent/session/timed_surveys.h"

namespace relay::agent {

void TimedSurveys::Tick() {
  loop_.Cancel(timer_);
  timer_ = loop_.After(Duration::zero(), [this] {
    timer_ = 0;
    const TimePoint next = surveys_.Tick(loop_.clock().Now());
    if (next == TimePoint::max() || timer_ != 0) return;
    timer_ = loop_.After(next - loop_.clock().Now(), [this] {
      timer_ = 0;
      Tick();
    });
  });
}

}  // namespace relay::agent
