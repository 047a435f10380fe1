// Ports that all reach each other, because a switch or a LAN is between them: for a drawing one place with a line to
// each port, where the fabric has a link for each pair. Pure.
#pragma once
#include <optional>

#include "relay/fabric.h"
#include "view/load.h"

namespace relay::view {

struct Condensed {
  // The same nodes, then one for each segment ("LAN" where it is of last resort, else "switch"), with a link to each of
  // its ports in place of the links between them.
  fabric::Fabric fabric;
  size_t real_nodes = 0;
  std::optional<FabricLoad> load;  // of these links; silent nodes and paths as they were

  bool IsSegment(size_t node) const { return node >= real_nodes; }
};

// Segments have three ports at least.
Condensed Condense(const fabric::Fabric& fabric, const FabricLoad* load);

// The real nodes with the links that are no segment's.
fabric::Fabric WithoutSegments(const Condensed& condensed);

}  // namespace relay::view
