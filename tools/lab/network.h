// A plan made real: the nodes' namespaces, wired. Built inside the box; gone with it.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "lab/node_space.h"
#include "lab/plan.h"
#include "lab/wiring.h"

namespace relay::lab {

struct Network {
  std::vector<NodeSpace> nodes;  // as the plan's
  std::string ip, tc;            // full paths
};

// `sysctls`: settings of every node's kernel, "net.ipv4.conf.all.rp_filter=1".
Result<Network> BuildNetwork(const Plan& plan, std::span<const std::string> sysctls = {});

}  // namespace relay::lab
