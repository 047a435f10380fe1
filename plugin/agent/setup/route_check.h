// Whether this node takes part in a circuit that a neighbour asks for. Pure: sees the fabric, no socket.
#pragma once
#include <optional>

#include "agent/node/local_node.h"
#include "relay/setup.h"

namespace relay::agent {

struct Arrival {
  std::string interface;  // of this node, on which the OPEN came in
  SocketAddress from, to;
};

// nullopt: the OPEN is for this node, came over the link that it names, and its route is a path of this fabric on which
// this node is the last or has the next link.
std::optional<RefusedMessage> CheckRoute(const LocalNode& node, const OpenMessage& open, const Arrival& arrival);

// "A ab--ba B bc--cb C". Every link of the route must be this fabric's.
std::string RouteText(const LocalNode& node, const OpenMessage& open);

}  // namespace relay::agent
