// This node as its agent knows it: its place in the fabric and the interfaces behind its ports. Declared, it is fixed
// for the agent's life; discovered, it is replaced between two events whenever the fabric changes, so that nobody keeps
// an index into it from one event to the next.
#pragma once
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/discovery/verbs_ports.h"
#include "agent/node/packet_limits.h"
#include "relay/control.h"
#include "relay/fabric.h"
#include "relay/knobs.h"
#include "transport/tcp/dial.h"

namespace relay::agent {

struct LocalNode {
  fabric::Fabric fabric;
  size_t self = 0;
  uint64_t agreement = 0;
  bool declared = true;
  TimePoint settled{};    // the structure has not changed since
  std::string settings;   // the knobs that the agent goes by: AgentSettingsText
  bool draining = false;  // new circuits are refused, those that are open go on
  uint16_t port = 0;      // every agent's TCP port
  Duration connect_timeout{};
  transport::tcp::HopOptions hop;
  std::vector<std::string> interfaces;                  // of each of its ports
  std::map<LinkKey, transport::tcp::DialTarget> reach;  // discovered: how each live link is dialled
  PacketLimits limits;                                  // discovered: links over which only small packets come
  bool rdma = true;                                     // NCCL_RELAY_RDMA
  VerbsRoots verbs_roots;                               // where verbs devices are looked for
  std::vector<PortVerbs> verbs;                         // of each of its ports, as looked up last
  std::vector<fabric::Port> declared_ports;             // declared: this node's, as the file has them

  const fabric::Node& node() const { return fabric.nodes[self]; }
  const std::string& name() const { return node().name; }
  const std::string& InterfaceOf(size_t port_index) const { return interfaces[port_index]; }
  // What queue pairs of this port are made on; nullopt: it is tcp on this node.
  std::optional<VerbsPort> VerbsOf(size_t port_index) const;
  // "B", or the number in hex for a node that this fabric does not have.
  std::string NameOf(NodeId id) const;
  // "the declared fabric", "the discovered fabric": for sentences.
  const char* FabricText() const { return declared ? "the declared fabric" : "the discovered fabric"; }
  // True when another node of the fabric has this address.
  bool IsOfAnotherNode(const SocketAddress& address) const;
};

// Finds this node in the fabric by its addresses.
Result<LocalNode> FindLocalNode(fabric::Fabric fabric, std::span<const fabric::LocalInterface> interfaces,
                                const Knobs& knobs);

// What devices there are. With the knob off nobody asks libibverbs, so that neither it nor its providers come into this
// process.
VerbsPorts ReadVerbs(const LocalNode& node);

// The verbs devices behind these ports, whose interfaces stand beside them; with the knob off, why none is used.
std::vector<PortVerbs> VerbsBehind(const LocalNode& node, const VerbsPorts& devices,
                                   std::span<const fabric::Port> ports, std::span<const std::string> interfaces);

// Looks up what stands behind a declared node's ports. One that is declared as rdma and has no such device here counts
// as tcp in this node's copy of the fabric, and so do its links: paths from here are what they can be. Other nodes are
// not told: to them the declaration is what it is, and a circuit over such a port is the two ends' own affair.
// True when the kind of a port is another than before.
bool LookUpDeclared(LocalNode& node);

// "eth1 is rdma: mlx5_0 port 1 (RoCE)", "eth1 is tcp: mlx5_0 port 1 is behind it, but ..."; empty where there is
// nothing to say.
std::string VerbsText(const std::string& port, const PortVerbs& verbs);

// What NCCL is offered as NICs: one for each that is a PCI device and RDMA-capable, so that NCCL places GPUs near it;
// else one without a place. A PCI device also means protocols that need the order of stores kept (LL128), which bytes
// over TCP do not keep. Never empty.
std::vector<control::DeviceInfo> DevicesOf(const LocalNode& node);

// The end of a link that is this node's, and the other one; nullopt when the link is not this node's.
struct LinkEnds {
  fabric::LinkEnd near, far;
};
std::optional<LinkEnds> EndsFrom(const LocalNode& node, size_t link);

// Every way to dial this link, best first: pairs of addresses, or what a live session has proven. A routed one's
// interface is empty.
std::vector<transport::tcp::DialTarget> TargetsOf(const LocalNode& node, const LinkEnds& ends);

// The name of one of this node's links.
LinkKey KeyOf(const LocalNode& node, const LinkEnds& ends);

// How a hop over this link is set.
transport::tcp::HopOptions HopOver(const LocalNode& node, const LinkEnds& ends);

// "10.77.0.2:21517 on ab"
std::string TargetText(const transport::tcp::DialTarget& target);

}  // namespace relay::agent
