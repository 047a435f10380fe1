// The kind of a link in words, and why it is no better. Pure.
#pragma once
#include <string>

#include "relay/fabric.h"

namespace relay::view {

// "rdma", "tcp".
std::string KindText(fabric::PortKind kind);

// Why a tcp link is not rdma although one of its ports is: "B/ba is tcp", "A/ab is InfiniBand, B/ba Ethernet". Empty
// where neither port is, or the link is rdma.
std::string WhyTcp(const fabric::Fabric& fabric, const fabric::Link& link);

}  // namespace relay::view
