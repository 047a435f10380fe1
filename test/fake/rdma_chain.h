// A lane over devices made of code, direct or through relays. The sender's device "n0" is cabled to "f0" of the first
// relay, whose "n1" is cabled to "f1" of the next, and so on; the last "f" is the receiver's.
#pragma once
#include <string>
#include <vector>

#include "fake/lane_chain.h"
#include "fake/verbs/fake_verbs.h"

namespace relay::fake {

// A clock whose hands the test turns, and that no two looks find at the same place: what an event loop is to do "at
// once" is due at its next turn, not for ever in this one.
class TurnedClock final : public Clock {
 public:
  TimePoint Now() const override { return now_ += std::chrono::nanoseconds(10); }
  void Advance(Duration d) { now_ += d; }

 private:
  mutable TimePoint now_{std::chrono::hours(1)};
};

struct RdmaChainOptions {
  size_t relays = 0;
  FakeVerbs::Pump pump = FakeVerbs::Pump::kPerPost;
  uint32_t max_message = 1u << 30;  // of every device
};

// What a chain stands on, and outlives it.
struct RdmaChainGround {
  explicit RdmaChainGround(const RdmaChainOptions& options) : verbs(options.pump) {
    for (size_t hop = 0; hop <= options.relays; ++hop) {
      const std::string subnet = "10.0." + std::to_string(hop) + ".";
      for (const std::string& name : {Near(hop), Far(hop)}) {
        DeviceSpec spec{.name = name, .ports = {RocePort(subnet + (name == Near(hop) ? "1" : "2"))}};
        spec.ports[0].max_message = options.max_message;
        verbs.Add(spec);
      }
      verbs.Connect({Near(hop)}, {Far(hop)});
    }
  }

  static std::string Near(size_t hop) { return "n" + std::to_string(hop); }
  static std::string Far(size_t hop) { return "f" + std::to_string(hop); }
  static std::vector<std::string> Names(size_t relays) {
    std::vector<std::string> names;
    for (size_t hop = 0; hop <= relays; ++hop) names.insert(names.end(), {Near(hop), Far(hop)});
    return names;
  }

  FakeVerbs verbs;
  TurnedClock clock;
};

class RdmaChain : public RdmaChainGround, public LaneChain {
 public:
  using Options = RdmaChainOptions;
  explicit RdmaChain(const Options& options)
      : RdmaChainGround(options), LaneChain(&verbs.table(), clock, Names(options.relays)) {}
};

}  // namespace relay::fake
