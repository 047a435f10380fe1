// The knobs that make a node's agent what it is. One agent serves every process of its node, whoever started it and
// with whatever knobs: what a job asks for is compared with what the agent that answers goes by. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "relay/knobs.h"

namespace relay {

// Whether a job has set any of them to another value than the default.
bool AsksForSomething(const Knobs& job);

// One line "NAME=value" for each of them, as an agent answers the question "settings".
std::string AgentSettingsText(const Knobs& knobs);

// A job asks for one value, the agent goes by another.
struct Disagreement {
  std::string name;
  std::string asked, actual;  // empty: unset
  // NCCL_RELAY_KEY_FILE where the agent has no key: strangers could join the job's fabric.
  bool unsafe() const { return name == "NCCL_RELAY_KEY_FILE" && actual.empty(); }
};
// A knob that the job left as it is by default asks for nothing, and one that the agent does not name is no
// disagreement.
std::vector<Disagreement> DisagreementsOf(const Knobs& job, std::string_view agent);

// "NCCL_RELAY_IFNAME=cab where its agent has NCCL_RELAY_IFNAME unset; ..."
std::string DisagreementsText(const std::vector<Disagreement>& all);

}  // namespace relay
