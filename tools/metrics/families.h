// What of an agent's answers becomes a metric. Series are as many as the node has ports, roles and counters: circuits,
// processes and connections come and go and have none of their own. Pure.
#pragma once
#include <vector>

#include "metrics/exposition.h"
#include "view/json.h"

namespace relay::metrics {

// `status` and `flows` are the agent's answers to those questions.
std::vector<Family> FamiliesOf(const view::Json& status, const view::Json& flows);

}  // namespace relay::metrics
