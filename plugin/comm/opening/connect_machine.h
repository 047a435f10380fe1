// The connecting side of a connection, without I/O: events in, actions out.
//
//   kIdle --Tick--> kAsking --Connected--> kReady
//                    |   ^
//          transient |   | Tick, when the back-off is over
//                    v   |
//                   kWaiting        final refusal, or Tick past the deadline, in any state --> kBroken
#pragma once
#include <string>

#include "base/clock.h"

namespace relay::comm {

class ConnectMachine {
 public:
  enum class State : uint8_t { kIdle, kAsking, kWaiting, kReady, kBroken };
  enum class Action : uint8_t { kNone, kAsk, kReportReady, kReportBroken };

  explicit ConnectMachine(Duration timeout) : timeout_(timeout) {}

  State state() const { return state_; }
  // The last refusal: why it is broken.
  const std::string& sentence() const { return sentence_; }

  // Time goes on; call as often as NCCL asks.
  Action Tick(TimePoint now) {
    if (state_ == State::kIdle) {
      deadline_ = now + timeout_;
      return Go(State::kAsking, Action::kAsk);
    }
    if (state_ == State::kReady || state_ == State::kBroken) return Action::kNone;
    if (now >= deadline_) return Go(State::kBroken, Action::kReportBroken);
    if (state_ == State::kWaiting && now >= retry_at_) return Go(State::kAsking, Action::kAsk);
    return Action::kNone;
  }

  Action OnConnected() {
    if (state_ != State::kAsking) return Action::kNone;
    return Go(State::kReady, Action::kReportReady);
  }

  Action OnRefused(bool final, std::string sentence, TimePoint now) {
    if (state_ != State::kAsking) return Action::kNone;
    sentence_ = std::move(sentence);
    if (final) return Go(State::kBroken, Action::kReportBroken);
    retry_at_ = now + back_off_;
    back_off_ = std::min<Duration>(2 * back_off_, std::chrono::milliseconds(500));
    return Go(State::kWaiting, Action::kNone);
  }

 private:
  Action Go(State next, Action action) {
    state_ = next;
    return action;
  }

  const Duration timeout_;
  State state_ = State::kIdle;
  TimePoint deadline_{}, retry_at_{};
  Duration back_off_ = std::chrono::milliseconds(10);
  std::string sentence_;
};

}  // namespace relay::comm
