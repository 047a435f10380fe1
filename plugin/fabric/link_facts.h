// Small facts about ports and links that reading, printing and searching share.
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

// The slower port's; where one is unknown, the other's is the better guess.
inline uint32_t SpeedOfPorts(const Fabric& fabric, const Link& link) {
  const uint32_t a = PortAt(fabric, link.a).speed_mbit, b = PortAt(fabric, link.b).speed_mbit;
  return a == 0 || b == 0 ? std::max(a, b) : std::min(a, b);
}

inline PortKind KindOfPorts(const Fabric& fabric, const Link& link) {
  const bool rdma = PortAt(fabric, link.a).kind == PortKind::kRdma && PortAt(fabric, link.b).kind == PortKind::kRdma;
  return rdma ? PortKind::kRdma : PortKind::kTcp;
}

}  // namespace relay::fabric
