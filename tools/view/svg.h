// A fabric as a picture: one SVG file that needs nothing else, without script, readable on light and on dark.
#pragma once
#include <string>

#include "relay/fabric.h"
#include "view/load.h"

namespace relay::view {

// `load` may be null. `self` is the node that is asked; its box is marked.
std::string Svg(const fabric::Fabric& fabric, const FabricLoad* load, const std::string& self);

}  // namespace relay::view
