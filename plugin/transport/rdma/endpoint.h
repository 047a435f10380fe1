// What the other side of a queue pair must know. Exchanged in the set-up of a circuit. Value types, pure.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/codec.h"
#include "relay/result.h"

namespace relay::transport::rdma {

enum class GidType : uint8_t { kInfiniband = 0, kRoce1 = 1, kRoce2 = 2 };

// One address of a port. IPv4 addresses are mapped into IPv6 (::ffff:a.b.c.d), as the verbs do it.
struct Gid {
  std::array<std::byte, 16> bytes{};  // network order
  uint16_t index = 0;                 // in its own port's table; its own side's affair, never sent
  GidType type{};
  // The same address: where it stands in a table is not part of it, and the far end's place is not known.
  bool operator==(const Gid& other) const { return bytes == other.bytes && type == other.type; }
};

// "10.0.0.1 (RoCE v2)", "fe80::1 (RoCE v1)".
std::string ToText(const Gid& gid);

inline constexpr size_t kMaxGids = 32;
inline constexpr uint8_t kNoGid = 255;
inline constexpr size_t kMaxEndpointBytes = 600;

struct Endpoint {
  uint32_t queue_pair = 0;    // 24 bits
  uint32_t first_packet = 0;  // 24 bits: the packet sequence number that this side sends first, random
  bool infiniband = false;    // the link layer: addressed by lid; otherwise Ethernet, addressed by gids
  uint16_t lid = 0;
  uint16_t mtu = 1024;         // bytes: 256, 512, 1024, 2048 or 4096
  std::vector<Gid> gids = {};  // at most kMaxGids, empty entries left out
  // The acceptor's answer: which of the dialler's gids (position in the dialler's list) it pairs with which of its own.
  // kNoGid in both: the dialler's own offer.
  uint8_t chosen = kNoGid;
  uint8_t own = kNoGid;
  bool operator==(const Endpoint&) const = default;
};

// At most kMaxEndpointBytes; gids beyond kMaxGids are left out.
void Put(ByteWriter& out, const Endpoint& endpoint);
// Refuses what no queue pair can have: more than 24 bits, an unknown MTU or kind of address, a position outside the
// list, an empty address. What follows the endpoint stays in the reader.
Result<Endpoint> TakeEndpoint(ByteReader& in);

}  // namespace relay::transport::rdma
