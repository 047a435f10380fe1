// The graph of nodes and links: read from a declaration, validated, searched. Pure values, no I/O, any thread.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/socket_address.h"
#include "relay/result.h"
#include "relay/setup.h"

namespace relay::fabric {

enum class PortKind : uint8_t { kTcp, kRdma };

struct Port {
  std::string name;                        // the interface: "eth1"
  std::vector<SocketAddress> addresses;    // at least one in a declaration
  uint32_t speed_mbit = 0;                 // 0: unknown, ranks last
  PortKind kind = PortKind::kTcp;
  bool last_resort = false;                // the management LAN: a path takes it when nothing else leads there
  bool infiniband = false;                 // of kind kRdma: its link layer; else Ethernet (RoCE)
};

struct Node {
  NodeId id = 0;                           // declared: a hash of the name; discovered: drawn once per node
  std::string name;
  std::vector<Port> ports;
  bool draining = false;                   // discovered: takes no new circuits through it; paths may begin or end there
};

struct LinkEnd {
  size_t node = 0, port = 0;               // indices into Fabric::nodes and Node::ports
  bool operator==(const LinkEnd&) const = default;
};

struct Link {
  LinkEnd a, b;
  uint32_t speed_mbit = 0;                 // declared, else the slower known port's; 0: unknown, ranks last
  uint32_t latency_us = 0;                 // 0: unknown, ranks last among equals
  PortKind kind = PortKind::kTcp;          // kRdma only when both ports are, of one link layer
  bool last_resort = false;                // one of its ports is, or the link is routed
  bool routed = false;                     // no common wire: reached through routers that are no nodes of the fabric
};

struct Fabric {
  std::string name;
  std::vector<Node> nodes;
  std::vector<Link> links;
};

// Reads fabric.json (docs/fabric.md). Every error names file_name, the line and the reason.
Result<Fabric> ParseFabric(std::string_view json, std::string_view file_name);
// A declaration that ParseFabric reads back as the same fabric.
std::string PrintFabric(const Fabric& fabric);

// Equal on two agents exactly when they hold the same structure: names, ports with addresses and links (a routed one is
// another than one on a wire), in any order. Speed, latency and last resort do not count. Never 0.
uint64_t AgreementHash(const Fabric& fabric);

// A node's own interface as the kernel shows it.
struct LocalInterface {
  std::string name;
  std::vector<SocketAddress> addresses;
};
// Which node is this one: the one whose ports match these interfaces best. No match or a tie is an error that lists
// what was compared.
Result<size_t> FindSelf(const Fabric& fabric, std::span<const LocalInterface> interfaces);

// Index of the node with this id; nullopt when the fabric has none.
std::optional<size_t> FindNode(const Fabric& fabric, NodeId id);
// The link between these two ends, in either direction, named as in a source route.
std::optional<size_t> FindLink(const Fabric& fabric, const RouteHop& hop);

// Links that carry the messages of a direct connection together with this one, an RDMA link: others between the same two
// nodes, RDMA links too, at least half as fast and as little of last resort; never routed ones, never two that share a
// port (as behind a switch), none of `without`. The fastest first, at most kMaxParallelLinks.
std::vector<size_t> ParallelLinks(const Fabric& fabric, size_t link, std::span<const size_t> without = {});

struct Path {
  std::vector<size_t> nodes;               // source first; one element: a path to oneself
  std::vector<size_t> links;               // nodes.size() - 1
  uint32_t width_mbit = 0;                 // slowest link; 0 for a path to oneself
  uint32_t latency_us = 0;                 // sum of the known
  bool rdma = false;                       // every link is; false for a path to oneself
  bool last_resort = false;                // some link is
};

// Never through a draining node. Without links of last resort before with them, then RDMA-capable first, then widest,
// then fewest links, then fewest links of unknown latency, then lowest latency, then lowest link indices compared from
// the source on. At most kMaxHops links. Deterministic: every agent with the same fabric picks the same path. kNoPath
// names both nodes and what the source does reach.
Result<Path> FindPath(const Fabric& fabric, size_t from, size_t to);
// The best path that uses none of these links: for failover, the next-best that is edge-disjoint from the best.
Result<Path> FindPathWithout(const Fabric& fabric, size_t from, size_t to, std::span<const size_t> links);

// "A ab--ba B bc--cb C": for logs and sentences.
std::string PathText(const Fabric& fabric, const Path& path);
// "B-C (B/bc to C/cb)": for sentences.
std::string LinkText(const Fabric& fabric, size_t link);
std::vector<RouteHop> RouteOf(const Fabric& fabric, const Path& path);

}  // namespace relay::fabric
