// What a fabric looks like: a line, a ring, or neither. Links between the same two nodes count as one here. Pure.
#pragma once
#include <cstddef>
#include <vector>

#include "relay/fabric.h"

namespace relay::view {

enum class FabricShape : uint8_t { kChain, kRing, kOther };

struct Order {
  FabricShape shape = FabricShape::kOther;
  std::vector<size_t> nodes;  // a chain from one end to the other, a ring around; otherwise by name
};

// Links of last resort count only where nothing else joins the nodes: a LAN beside a chain leaves it a chain. A chain
// begins at the end whose name comes first, a ring at its first name towards the lesser neighbour.
Order OrderOf(const fabric::Fabric& fabric);

// Links between these two, by index.
std::vector<size_t> LinksBetween(const fabric::Fabric& fabric, size_t a, size_t b);

}  // namespace relay::view
