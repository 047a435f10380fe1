// The addresses of a lab's cables. Pure.
#pragma once
#include <cstdint>
#include <string_view>

#include "base/socket_address.h"
#include "relay/result.h"

namespace relay::lab {

enum class AddressStyle : uint8_t {
  kPerCable,   // an IPv4 subnet per cable
  kPerPair,    // an IPv4 subnet per pair of nodes: twins share it
  kShared,     // one IPv4 subnet for all cables; every address is used once
  kReused,     // one IPv4 subnet for all cables; a node has one address, on each of its ports
  kUla,        // an IPv6 subnet per cable, no IPv4
  kLinkLocal,  // nothing but IPv6 link-local addresses
};

// "per-cable", "per-pair", "shared", "reused", "ula", "link-local".
Result<AddressStyle> ParseAddressStyle(std::string_view text);

struct PortPlace {
  size_t cable = 0;     // index
  size_t pair = 0;      // index of the pair of nodes
  size_t pair_end = 0;  // which of the pair's ports this is
  size_t node = 0;      // index
  bool first_end = false;
};
SocketAddress PortAddress(AddressStyle style, const PortPlace& place);

// The length of the subnet's prefix.
unsigned PrefixLength(AddressStyle style);

}  // namespace relay::lab
