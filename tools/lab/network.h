// A plan made real: the nodes' namespaces, wired. Built inside the box; gone with it.
#pragma once
#include <vector>

#include "lab/node_space.h"
#include "lab/plan.h"
#include "lab/wiring.h"

namespace relay::lab {

struct Network {
  std::vector<NodeSpace> nodes;  // as the plan's
  std::string tc;                // full path
};

Result<Network> BuildNetwork(const Plan& plan, const LinkShape& shape);

}  // namespace relay::lab
