// Which pair of addresses the two ends of a queue pair use. Pure: never a fixed index, always the two whole lists.
#pragma once
#include <cstddef>
#include <optional>

#include "base/socket_address.h"
#include "relay/result.h"
#include "transport/rdma/endpoint.h"

namespace relay::transport::rdma {

// Positions in the two lists. On InfiniBand, where lists may be empty, both are 0 then.
struct GidPair {
  size_t near = 0, far = 0;
  bool operator==(const GidPair&) const = default;
};

// `near_address` and `far_address`: those of the hop's TCP socket on the same link, if known.
//
// Ethernet: the pair of exactly these addresses wins where both ends have it as RoCE v2. Else pairs of one kind, RoCE
// v2 before v1; among them IPv4 with at least /8 in common and global IPv6 with at least /48 in common, the longest
// common prefix first (counted from the whole address: 28 of 32 bits beats 100 of 128), then link-local with
// link-local. InfiniBand: the first address of each.
//
// The error lists what each end has.
Result<GidPair> ChooseGids(const Endpoint& near, const Endpoint& far, const std::optional<SocketAddress>& near_address,
                           const std::optional<SocketAddress>& far_address);

// InfiniBand: the two ports are in different subnets, so packets need the global header.
bool CrossesSubnets(const Gid& near, const Gid& far);

}  // namespace relay::transport::rdma
