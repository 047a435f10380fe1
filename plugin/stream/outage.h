// What is wrong with a stream's circuits: whether it is on one, whether that one is in doubt, why the last was lost,
// and why no other has come. Pure.
//
//   without --------taken-------> on a circuit --judged--> in doubt
//      ^                           |    ^                  |   |
//      +------ lost, dropped ------+    +------ judged ----+   |
//      +------------------- lost, dropped ---------------------+
#pragma once
#include <string>
#include <variant>

#include "base/clock.h"

namespace relay::stream {

class Outage {
 public:
  enum class State : uint8_t { kWithout, kOnCircuit, kInDoubt };

  // A circuit is there, where there was none. `reached`: grows with what gets through; `outstanding`: something has
  // not.
  struct Taken {
    uint64_t reached = 0;
    bool outstanding = false;
  };
  // It is taken away from this side.
  struct Dropped {};
  // It broke. `sys_errno`: as its hop ended.
  struct Lost {
    std::string sentence;
    int sys_errno = 0;
  };
  // A link of it is said to be gone.
  struct Warned {
    std::string sentence;
  };
  // Why there is no other circuit yet.
  struct NoOther {
    std::string sentence;
  };
  // Another is being opened while the present one may still work.
  struct Replacing {
    bool replacing = false;
  };
  // Somebody has looked at the clock. `soon`: and will again in a moment.
  struct Judged {
    bool doubt = false, soon = false;
  };
  using Event = std::variant<Taken, Dropped, Lost, Warned, NoOther, Replacing, Judged>;

  // The only way to change it.
  State On(Event event);

  State state() const { return state_; }
  bool in_doubt() const { return state_ == State::kInDoubt; }
  bool soon() const { return soon_; }
  bool replacing() const { return replacing_; }
  // The last circuit was ended by a process that ends, not by a cable.
  bool hung_up() const { return hung_up_; }
  // It is known why there is no other circuit.
  bool explained() const { return !no_other_.empty(); }
  // So many circuits in a row brought nothing that one more would not either.
  bool exhausted() const { return fruitless_ > kMostFruitless; }
  // Why a connection ends that has waited for `patience`. `over`: the path of its circuit, present or last.
  std::string WhyOver(const std::string& over, Duration patience) const;

 private:
  // A link that flaps costs one circuit each time; what costs more is no trouble of the path.
  static constexpr uint64_t kMostFruitless = 64;

  State state_ = State::kWithout;
  bool soon_ = false, replacing_ = false, hung_up_ = false;
  std::string loss_;        // how the last circuit ended
  std::string no_other_;    // why there is no other
  std::string warning_;     // what was last said of its links
  uint64_t fruitless_ = 0;  // circuits since anything got through
  uint64_t reached_ = 0;    // when the last was taken
};

}  // namespace relay::stream
