// Faults to come: what breaks, and how long after the start of the ranks. Pure; faults.h does the breaking.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "fabric/link_facts.h"
#include "lab/options.h"
#include "lab/plan.h"

namespace relay::lab {

enum class FaultKind : uint8_t {
  kCut,        // both ends of the link go down
  kDrop,       // the link stays up and swallows every packet
  kKill,       // every process of the node is killed
  kKillAgent,  // the agents of the node are killed
};

struct Fault {
  FaultKind kind = FaultKind::kCut;
  Duration after{};
  std::vector<size_t> links;  // kCut, kDrop: indices into the plan's fabric
  size_t node = 0;            // kKill, kKillAgent
  std::string text;           // as given: "A-B@3s"
};

// "3", "3s", "250ms", "0.5s".
Result<Duration> ParseDuration(std::string_view text);
// "A-B@3s": every link between A and B; "A/ab@3s": the one at this port.
Result<Fault> ParseLinkFault(const Plan& plan, FaultKind kind, std::string_view text);
// "B@4s".
Result<Fault> ParseNodeFault(const Plan& plan, FaultKind kind, std::string_view text);
// All of a run's.
Result<std::vector<Fault>> ParseSchedule(const Plan& plan, const RunOptions& options);

}  // namespace relay::lab
