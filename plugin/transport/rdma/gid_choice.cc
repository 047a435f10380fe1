#include "transport/rdma/gid_choice.h"

#include <algorithm>
#include <bit>
#include <tuple>

namespace relay::transport::rdma {
namespace {

constexpr unsigned kLeastIpv4Common = 8, kLeastIpv6Common = 48;  // bits

enum class GidFamily : uint8_t { kIpv4, kGlobal, kLinkLocal };

constexpr size_t kIpv4At = 12;     // of ::ffff:a.b.c.d
constexpr size_t kMostListed = 8;  // in a sentence

GidFamily FamilyOf(const Gid& gid) {
  const bool zeros =
      std::all_of(gid.bytes.begin(), gid.bytes.begin() + 10, [](std::byte b) { return b == std::byte{0}; });
  if (zeros && gid.bytes[10] == std::byte{0xff} && gid.bytes[11] == std::byte{0xff}) return GidFamily::kIpv4;
  const bool link_local = gid.bytes[0] == std::byte{0xfe} && (gid.bytes[1] & std::byte{0xc0}) == std::byte{0x80};
  return link_local ? GidFamily::kLinkLocal : GidFamily::kGlobal;
}

unsigned CommonBits(std::span<const std::byte> a, std::span<const std::byte> b) {
  unsigned bits = 0;
  for (size_t i = 0; i < a.size(); ++i, bits += 8) {
    const auto differ = static_cast<uint8_t>(a[i] ^ b[i]);
    if (differ != 0) return bits + static_cast<unsigned>(std::countl_zero(differ));
  }
  return bits;
}

// How good a pair is: RoCE version, then a routable family, then the common prefix in 1/128 of the address. nullopt:
// the two cannot speak, or nothing says that they share a wire.
using GidRank = std::tuple<int, int, unsigned>;

std::optional<GidRank> RankOf(const Gid& near, const Gid& far) {
  if (near.type != far.type || near.type == GidType::kInfiniband) return std::nullopt;
  const GidFamily family = FamilyOf(near);
  if (family != FamilyOf(far)) return std::nullopt;
  const int version = near.type == GidType::kRoce2 ? 2 : 1;
  if (family == GidFamily::kLinkLocal) return GidRank{version, 0, 0};
  const std::span<const std::byte> a(near.bytes), b(far.bytes);
  if (family == GidFamily::kIpv4) {
    const unsigned common = CommonBits(a.subspan(kIpv4At), b.subspan(kIpv4At));
    if (common < kLeastIpv4Common) return std::nullopt;
    return GidRank{version, 1, common * 4};
  }
  const unsigned common = CommonBits(a, b);
  if (common < kLeastIpv6Common) return std::nullopt;
  return GidRank{version, 1, common};
}

// The position of a socket's address as RoCE v2.
std::optional<size_t> PositionOf(const Endpoint& endpoint, const SocketAddress& address) {
  const auto host = address.HostBytes();
  for (size_t i = 0; i < endpoint.gids.size(); ++i) {
    const Gid& gid = endpoint.gids[i];
    if (gid.type != GidType::kRoce2 || host.empty()) continue;
    const bool mapped = host.size() == 4;
    if (mapped && FamilyOf(gid) != GidFamily::kIpv4) continue;
    const auto bytes = std::span<const std::byte>(gid.bytes).subspan(mapped ? kIpv4At : 0);
    if (std::equal(bytes.begin(), bytes.end(), host.begin(), host.end())) return i;
  }
  return std::nullopt;
}

std::optional<GidPair> ExactPair(const Endpoint& near, const Endpoint& far,
                                 const std::optional<SocketAddress>& near_address,
                                 const std::optional<SocketAddress>& far_address) {
  if (!near_address || !far_address || near_address->family() != far_address->family()) return std::nullopt;
  const auto near_at = PositionOf(near, *near_address), far_at = PositionOf(far, *far_address);
  if (!near_at || !far_at) return std::nullopt;
  return GidPair{*near_at, *far_at};
}

std::string ListGids(const Endpoint& endpoint) {
  if (endpoint.gids.empty()) return "none";
  std::string out;
  const size_t listed = std::min(endpoint.gids.size(), kMostListed);
  for (size_t i = 0; i < listed; ++i) out += (i == 0 ? "" : ", ") + ToText(endpoint.gids[i]);
  if (listed < endpoint.gids.size()) out += " and " + std::to_string(endpoint.gids.size() - listed) + " more";
  return out;
}

}  // namespace

Result<GidPair> ChooseGids(const Endpoint& near, const Endpoint& far, const std::optional<SocketAddress>& near_address,
                           const std::optional<SocketAddress>& far_address) {
  if (near.infiniband != far.infiniband) {
    return Fail(ErrorCode::kUsage, std::string("this end of the link is ") +
                                       (near.infiniband ? "InfiniBand" : "Ethernet") + " and the far end " +
                                       (far.infiniband ? "InfiniBand" : "Ethernet") + ": no queue pair joins the two");
  }
  if (near.infiniband) return GidPair{};
  if (auto exact = ExactPair(near, far, near_address, far_address)) return *exact;

  // Two hosts with the same address (a bridge's, a virtual one) do not reach each other by it; a port reaches itself.
  const bool itself = near.gids == far.gids;
  std::optional<GidRank> best;
  GidPair pair;
  for (size_t i = 0; i < near.gids.size(); ++i) {
    for (size_t j = 0; j < far.gids.size(); ++j) {
      if ((near.gids[i].bytes == far.gids[j].bytes) != itself) continue;
      const auto rank = RankOf(near.gids[i], far.gids[j]);
      if (!rank || (best && *rank <= *best)) continue;
      best = rank;
      pair = {i, j};
    }
  }
  if (best) return pair;
  return Fail(ErrorCode::kUsage, "the two ends of the link have no RoCE addresses of one subnet: here " +
                                     ListGids(near) + "; at the far end " + ListGids(far) +
                                     ": give both interfaces IP addresses of one subnet, or IPv6 link-local ones");
}

bool CrossesSubnets(const Gid& near, const Gid& far) {
  return !std::equal(near.bytes.begin(), near.bytes.begin() + 8, far.bytes.begin());
}

}  // namespace relay::transport::rdma
