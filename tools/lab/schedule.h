// Faults to come: what breaks, and how long after the start of the ranks. Pure; faults.h does the breaking.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "lab/link_state.h"
#include "lab/options.h"
#include "lab/place.h"
#include "lab/plan.h"

namespace relay::lab {

struct Fault {
  FaultKind kind = FaultKind::kCut;
  Duration after{};
  Place place;            // of a link's fault
  uint32_t value = 0;     // kSlow: kbit/s, or parts of a million when `relative`; kLoss: parts of a million; kMtu,
                          // kNarrow: bytes
  bool relative = false;  // to the link's rate or, where it has none, to its declared speed
  size_t node = 0;        // of a node's fault
  std::string text;       // as given: "cut A-B@3s"
};

bool IsLinkFault(FaultKind kind);

// "3", "3s", "250ms", "0.5s".
Result<Duration> ParseDuration(std::string_view text);
// "A-B@3s" for a link, "B@4s" for a node, "A-B=1%@3s" with a value. The error names what there is.
Result<Fault> ParseFault(const Plan& plan, FaultKind kind, std::string_view text);
// All of a run's, in the order of their times.
Result<std::vector<Fault>> ParseSchedule(const Plan& plan, const RunOptions& options);

// What a link's fault makes of one end.
LinkState After(const Plan& plan, const Fault& fault, const fabric::LinkEnd& end, const LinkState& before);

}  // namespace relay::lab
