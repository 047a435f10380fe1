// Whether the other end has gone together with its agent, so that nobody is left who could say so. Its host answers
// that nobody listens, or a neighbour is in the fabric no more, and the circuit was hung up, not cut: for longer than
// an agent takes to be replaced. Pure.
#pragma once
#include "base/clock.h"
#include "relay/setup.h"

namespace relay::comm {

class Absence {
 public:
  // `hung_up`: the last circuit was; `direct`: and by the other end itself, because no relay was between.
  struct End {
    bool hung_up = false, direct = false;
  };
  // What an attempt or an inquiry was refused with. True: it is gone.
  bool OnRefused(const RefusedMessage& refused, const End& end, TimePoint now) {
    const bool nobody =
        refused.code == RefusedCode::kNoListener || (end.direct && refused.code == RefusedCode::kNoPath);
    if (!nobody || !end.hung_up) {
      absent_ = false;
      return false;
    }
    if (!absent_) since_ = now;
    absent_ = true;
    return now - since_ > kAgentReplaced;
  }

 private:
  static constexpr Duration kAgentReplaced = std::chrono::seconds(1);

  bool absent_ = false;
  TimePoint since_{};
};

}  // namespace relay::comm
