// A fabric as text that a person reads at a glance. Pure.
#pragma once
#include <string>
#include <vector>

#include "relay/fabric.h"
#include "view/glyphs.h"
#include "view/load.h"

namespace relay::view {

struct DrawingOptions {
  Glyphs glyphs = Glyphs::kUnicode;
  std::string self;  // name of the node that is asked; marked
  size_t most_paths = 20;
  std::vector<std::string> tcp_ports = {};  // of the node that is asked, which could be rdma: "ab: why it is not"
};

// Nodes with the links below or beside them: down a line for a chain, down and back for a ring, otherwise node by node
// with its links. `load` may be null: then nothing is said of what flows.
std::string Draw(const fabric::Fabric& fabric, const FabricLoad* load, const DrawingOptions& options);

}  // namespace relay::view
