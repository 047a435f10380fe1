// What became of each node and link of one fabric in the next. Nodes are the same by their ids, links by the ports that
// they join. Pure values.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "relay/fabric.h"

namespace relay::fabric {

struct FabricChange {
  static constexpr size_t kGone = SIZE_MAX;

  std::vector<size_t> nodes;        // per node before: its index after, or kGone
  std::vector<size_t> links;        // per link before: its index after, or kGone
  std::vector<size_t> added_links;  // indices after
  bool same_order = true;           // of the links that are in both
};

FabricChange Compare(const Fabric& before, const Fabric& after);

}  // namespace relay::fabric
