// This node's interfaces as the kernel shows them.
#pragma once
#include <string>
#include <vector>

#include "relay/fabric.h"

namespace relay::agent {

// With their addresses, those that are down included: a cut cable does not change who a node is.
Result<std::vector<fabric::LocalInterface>> ReadInterfaces();

// 0: the driver does not know.
uint32_t SpeedOf(const std::string& interface);

}  // namespace relay::agent
