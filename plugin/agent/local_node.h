// This node as its agent knows it: its place in the declared fabric and the interfaces behind its ports. Fixed for the
// agent's life.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "relay/fabric.h"
#include "relay/knobs.h"
#include "transport/tcp/dial.h"

namespace relay::agent {

struct LocalNode {
  fabric::Fabric fabric;
  size_t self = 0;
  uint64_t agreement = 0;
  uint16_t port = 0;  // every agent's TCP port
  Duration connect_timeout{};
  transport::tcp::HopOptions hop;
  std::vector<std::string> interfaces;  // of each of its ports

  const fabric::Node& node() const { return fabric.nodes[self]; }
  const std::string& name() const { return node().name; }
  // "B", or the number in hex for a node that this fabric does not have.
  std::string NameOf(NodeId id) const;
};

// Finds this node in the fabric by its addresses.
Result<LocalNode> FindLocalNode(fabric::Fabric fabric, std::span<const fabric::LocalInterface> interfaces,
                                const Knobs& knobs);

// The end of a link that is this node's, and the other one; nullopt when the link is not this node's.
struct LinkEnds {
  fabric::LinkEnd near, far;
};
std::optional<LinkEnds> EndsFrom(const LocalNode& node, size_t link);

// Every pair of addresses by which this link can be dialled, best first.
std::vector<transport::tcp::DialTarget> TargetsOf(const LocalNode& node, const LinkEnds& ends);

// "10.77.0.2:21517 on ab"
std::string TargetText(const transport::tcp::DialTarget& target);

}  // namespace relay::agent
