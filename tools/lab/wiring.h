// A plan as batches for ip(8) and tc(8). Pure.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "lab/plan.h"

namespace relay::lab {

// What "netns" takes for each node of the plan.
using NamespacePaths = std::span<const std::string>;

// The hub's end of a node's control cable.
std::string HubPort(size_t node);

// Run once, in the hub's namespace: the cables, and the control network's hub.
std::string HubLinks(const Plan& plan, NamespacePaths paths);
// Run in the node's namespace: addresses, up, routes.
std::string NodeLinks(const Plan& plan, size_t node);
// The part of it that is one interface's, in any state: what going down takes away comes back.
std::string InterfaceUp(const Plan& plan, const fabric::LinkEnd& end);
// Run in the node's namespace, with tc: the rate of what it sends. May be empty.
std::string NodeQueues(const Plan& plan, size_t node);
// Run in the hub's namespace, with tc: the rate of the control network towards the nodes. May be empty.
std::string HubQueues(const Plan& plan);

// "tbf rate 1gbit ...", for tc(8).
std::string TokenBucket(uint32_t rate_kbit);

}  // namespace relay::lab
