// This node's ends of the links that a direct connection uses beside its own.
#pragma once
#include <string>
#include <vector>

#include "agent/node/local_node.h"
#include "relay/control.h"

namespace relay::agent {

// The links beside the only one of a path, as seen from the side that dials, with what queue pairs are made on there.
struct ParallelPorts {
  std::vector<RouteHop> hops;
  std::vector<control::ParallelPort> ports;  // one for each
};
// `path`: direct, of RDMA links. `without`: links that are not asked again.
ParallelPorts ParallelPortsFrom(const LocalNode& node, const fabric::Path& path, std::span<const size_t> without);

// The same at the side that is called: one for each link that OPEN names, without a device where this node does not
// serve; `note` then says so.
std::vector<control::ParallelPort> ParallelPortsTo(const LocalNode& node, const OpenMessage& open, std::string& note);

}  // namespace relay::agent
