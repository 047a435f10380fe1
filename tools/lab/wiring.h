// A plan as batches for ip(8) and tc(8). Pure.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "lab/plan.h"

namespace relay::lab {

struct LinkShape {
  uint32_t rate_mbit = 0;  // 0: unshaped
  uint32_t mtu = 1500;
};

// What "netns" takes for each node of the plan.
using NamespacePaths = std::span<const std::string>;

// The hub's end of a node's control cable.
std::string HubPort(size_t node);

// Run once, in the hub's namespace: the cables, and the control network's hub.
std::string HubLinks(const Plan& plan, const LinkShape& shape, NamespacePaths paths);
// Run in the node's namespace: addresses, up, routes.
std::string NodeLinks(const Plan& plan, size_t node);
// Run in the node's namespace, with tc: the rate of what it sends. May be empty.
std::string NodeQueues(const Plan& plan, size_t node, const LinkShape& shape);
// Run in the hub's namespace, with tc: the rate of the control network towards the nodes. May be empty.
std::string HubQueues(const Plan& plan);

}  // namespace relay::lab
