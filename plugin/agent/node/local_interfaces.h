// This node's interfaces as the kernel shows them.
#pragma once
#include <vector>

#include "relay/fabric.h"

namespace relay::agent {

// With their addresses, those that are down included: a cut cable does not change who a node is.
Result<std::vector<fabric::LocalInterface>> ReadInterfaces();

}  // namespace relay::agent
