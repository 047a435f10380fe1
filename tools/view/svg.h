// A fabric as a picture: one SVG file that needs nothing else, without script, readable on light and on dark.
#pragma once
#include <string>
#include <vector>

#include "relay/fabric.h"
#include "view/load.h"

namespace relay::view {

// `load` may be null. `self` is the node that is asked; its box is marked. `tcp_ports` as in DrawingOptions: said
// below.
std::string Svg(const fabric::Fabric& fabric, const FabricLoad* load, const std::string& self,
                const std::vector<std::string>& tcp_ports = {});

}  // namespace relay::view
