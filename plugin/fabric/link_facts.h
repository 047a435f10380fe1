// Small facts about ports and links that reading, printing, drawing and searching share.
#pragma once
#include <algorithm>
#include <string>

#include "relay/fabric.h"

namespace relay::fabric {

inline const Port& PortAt(const Fabric& fabric, const LinkEnd& end) { return fabric.nodes[end.node].ports[end.port]; }

// "A/eth1".
inline std::string EndText(const Fabric& fabric, const LinkEnd& end) {
  return fabric.nodes[end.node].name + "/" + PortAt(fabric, end).name;
}

// Where one speed is unknown, the other is the better guess.
inline uint32_t SlowerOf(const Port& a, const Port& b) {
  const uint32_t x = a.speed_mbit, y = b.speed_mbit;
  return x == 0 || y == 0 ? std::max(x, y) : std::min(x, y);
}

// kRdma only when both are, of one link layer: queue pairs do not cross from InfiniBand to Ethernet, though IP may.
inline PortKind CommonKind(const Port& a, const Port& b) {
  const bool both = a.kind == PortKind::kRdma && b.kind == PortKind::kRdma;
  return both && a.infiniband == b.infiniband ? PortKind::kRdma : PortKind::kTcp;
}

inline uint32_t SpeedOfPorts(const Fabric& fabric, const Link& link) {
  return SlowerOf(PortAt(fabric, link.a), PortAt(fabric, link.b));
}

inline PortKind KindOfPorts(const Fabric& fabric, const Link& link) {
  return CommonKind(PortAt(fabric, link.a), PortAt(fabric, link.b));
}

inline bool HasFamily(const Port& port, int family) {
  return std::any_of(port.addresses.begin(), port.addresses.end(),
                     [&](const SocketAddress& address) { return address.family() == family; });
}

// The first address of this family that both ports have; nullptr: none.
inline const SocketAddress* SharedAddress(const Port& a, const Port& b, int family) {
  for (const SocketAddress& address : a.addresses) {
    if (address.family() != family) continue;
    for (const SocketAddress& other : b.addresses) {
      if (address.SameHost(other)) return &address;
    }
  }
  return nullptr;
}

// A family in which both have addresses and none in common: two ports that share one hear themselves instead of the
// other.
inline bool CanSpeak(const Port& a, const Port& b) {
  return std::ranges::any_of(std::initializer_list<int>{AF_INET, AF_INET6}, [&](int family) {
    return HasFamily(a, family) && HasFamily(b, family) && !SharedAddress(a, b, family);
  });
}

}  // namespace relay::fabric
