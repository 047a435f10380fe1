#include "transport/rdma/endpoint.h"

#include <algorithm>

#include "base/socket_address.h"

namespace relay::transport::rdma {
namespace {

constexpr uint32_t kMost24Bits = 0xffffff;
constexpr uint32_t kFirstQueuePair = 2;  // 0 and 1 are the subnet manager's
constexpr size_t kMostUnicastLids = 0xbfff;

bool EndpointMtuKnown(uint16_t mtu) { return mtu == 256 || mtu == 512 || mtu == 1024 || mtu == 2048 || mtu == 4096; }

// One that a port can have: neither empty nor multicast, and of its link layer.
bool GidPossible(const Gid& gid, bool infiniband) {
  const bool empty = std::all_of(gid.bytes.begin(), gid.bytes.end(), [](std::byte b) { return b == std::byte{0}; });
  return !empty && gid.bytes[0] != std::byte{0xff} && (gid.type == GidType::kInfiniband) == infiniband;
}

// Both positions or none. `own` is one of this list; `chosen` is one of a list that is not here.
bool ChoicePossible(const Endpoint& endpoint) {
  if (endpoint.chosen == kNoGid || endpoint.own == kNoGid) return endpoint.chosen == endpoint.own;
  const size_t own_most = std::max<size_t>(endpoint.gids.size(), endpoint.infiniband ? 1 : 0);
  return endpoint.chosen < kMaxGids && endpoint.own < own_most;
}

tl::unexpected<Error> RefuseEndpoint(const char* what) {
  return Fail(ErrorCode::kRemote, std::string("the neighbour's offer of a queue pair has ") + what +
                                      ": it is damaged, or of a build that this one does not understand");
}

}  // namespace

std::string ToText(const Gid& gid) {
  constexpr std::array<std::byte, 12> mapped = {std::byte{0}, std::byte{0}, std::byte{0},    std::byte{0},
                                                std::byte{0}, std::byte{0}, std::byte{0},    std::byte{0},
                                                std::byte{0}, std::byte{0}, std::byte{0xff}, std::byte{0xff}};
  const bool ipv4 = std::equal(mapped.begin(), mapped.end(), gid.bytes.begin());
  const std::span<const std::byte> bytes(gid.bytes);
  const std::string host = SocketAddress::FromHostBytes(ipv4 ? bytes.subspan(mapped.size()) : bytes).HostText();
  switch (gid.type) {
    case GidType::kInfiniband:
      return host + " (InfiniBand)";
    case GidType::kRoce1:
      return host + " (RoCE v1)";
    case GidType::kRoce2:
      return host + " (RoCE v2)";
  }
  return host;
}

void Put(ByteWriter& out, const Endpoint& endpoint) {
  out.Put<uint32_t>(endpoint.queue_pair);
  out.Put<uint32_t>(endpoint.first_packet);
  out.Put<uint8_t>(endpoint.infiniband);
  out.Put<uint16_t>(endpoint.lid);
  out.Put<uint16_t>(endpoint.mtu);
  out.Put<uint8_t>(endpoint.chosen);
  out.Put<uint8_t>(endpoint.own);
  const size_t count = std::min(endpoint.gids.size(), kMaxGids);
  out.Put<uint8_t>(static_cast<uint8_t>(count));
  for (const Gid& gid : std::span(endpoint.gids).first(count)) {
    out.PutBytes(gid.bytes);
    out.Put<uint8_t>(static_cast<uint8_t>(gid.type));
  }
}

Result<Endpoint> TakeEndpoint(ByteReader& in) {
  Endpoint out;
  out.queue_pair = in.Get<uint32_t>();
  out.first_packet = in.Get<uint32_t>();
  const auto infiniband = in.Get<uint8_t>();
  out.infiniband = infiniband == 1;
  out.lid = in.Get<uint16_t>();
  out.mtu = in.Get<uint16_t>();
  out.chosen = in.Get<uint8_t>();
  out.own = in.Get<uint8_t>();
  const size_t count = in.Get<uint8_t>();
  if (!in.ok()) return RefuseEndpoint("no end");
  if (out.queue_pair < kFirstQueuePair || out.queue_pair > kMost24Bits || out.first_packet > kMost24Bits) {
    return RefuseEndpoint("an impossible number");
  }
  if (infiniband > 1 || out.lid > kMostUnicastLids) return RefuseEndpoint("an impossible LID or link layer");
  if (!EndpointMtuKnown(out.mtu)) return RefuseEndpoint("an impossible MTU");
  if (count > kMaxGids) return RefuseEndpoint("too many addresses");
  out.gids.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const auto bytes = in.GetBytes(std::tuple_size_v<decltype(Gid::bytes)>);
    Gid gid;
    std::copy(bytes.begin(), bytes.end(), gid.bytes.begin());
    const auto type = in.Get<uint8_t>();
    if (!in.ok()) return RefuseEndpoint("no end");
    if (type > static_cast<uint8_t>(GidType::kRoce2)) return RefuseEndpoint("an unknown kind of address");
    gid.type = static_cast<GidType>(type);
    if (!GidPossible(gid, out.infiniband)) return RefuseEndpoint("an impossible address");
    out.gids.push_back(gid);
  }
  if (!ChoicePossible(out)) return RefuseEndpoint("a choice among addresses that are not there");
  return out;
}

}  // namespace relay::transport::rdma
