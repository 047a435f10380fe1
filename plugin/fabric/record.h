// What one node says of itself: its ports, and over which links it reaches whom. Agents flood these records; the graph
// is made of them. Pure values.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "relay/fabric.h"
#include "relay/result.h"

namespace relay::fabric {

// Which of two records of a node is newer: the incarnation first (drawn when its agent starts, growing from start to
// start), then the sequence (from 1, grows with every change).
struct Edition {
  uint64_t incarnation = 0;
  uint64_t sequence = 0;
  auto operator<=>(const Edition&) const = default;
};

// One live link as its near end sees it.
struct Neighbour {
  uint16_t port = 0;  // index into Record::ports
  NodeId node = 0;
  std::string far_port;     // name of the port at the other end
  uint32_t latency_us = 0;  // one way; 0: unknown
  bool routed = false;      // reached by unicast through routers that are no nodes of the fabric
  bool operator==(const Neighbour&) const = default;
};

struct Record {
  NodeId node = 0;
  Edition edition;
  std::string name;         // the host's; two nodes may have the same
  std::string build;        // of its agent: "0.1.0"
  uint16_t agent_port = 0;  // TCP
  bool draining = false;    // takes no new circuits through it
  std::vector<Port> ports;
  std::vector<Neighbour> neighbours;
};

inline constexpr size_t kMaxFabricNodes = 20000;  // of a graph or a declaration
inline constexpr size_t kMaxHostNameBytes = 255;  // DNS's limit; a graph's names are shorter (MakeGraph)
inline constexpr size_t kMaxBuildBytes = 64;
inline constexpr size_t kMaxPorts = 64;
inline constexpr size_t kMaxPortAddresses = 16;
inline constexpr size_t kMaxNeighbours = 1024;
inline constexpr size_t kMaxRecordBytes = size_t{256} * 1024;
// Incarnation and sequence stay below it: nanoseconds since 1970 do so for a century, and no sum of two overflows.
inline constexpr uint64_t kMaxEdition = uint64_t{1} << 62;

// The same without what the bounds do not allow: ports whose names are none or given before, addresses that are
// neither IPv4 nor IPv6 or given twice, neighbours of such ports or of the node itself, the link layer of a port that
// is not RDMA-capable, and whatever is too many.
// What every DecodeRecord accepts; the edition and the node are the caller's.
Record WithinBounds(Record record);

// The record is within the bounds.
std::vector<std::byte> EncodeRecord(const Record& record);
// Refuses what is out of the bounds above, names that are none, neighbours of a port that the record does not have,
// neighbours of the node itself, and bytes left over.
Result<Record> DecodeRecord(std::span<const std::byte> bytes);
// What two encoded records of one node must share to say the same: all but the edition.
std::span<const std::byte> ContentOf(std::span<const std::byte> encoded);

// "0x3f2a91bc00000001": a node that has no name yet, in sentences.
std::string NodeIdText(NodeId node);

}  // namespace relay::fabric
