// What rtnetlink does not tell of an interface.
#pragma once
#include <cstdint>
#include <string>

namespace relay::agent {

// In Mbit/s, by ethtool, else by sysfs; 0: the driver does not know.
uint32_t LinkSpeed(const std::string& interface);
bool IsWireless(const std::string& interface);

}  // namespace relay::agent
