#include "transport/rdma/hop_offer.h"

#include <algorithm>

#include "base/codec.h"

namespace relay::transport::rdma {
namespace {

// Both ends are of one: what they write into each other's memory later has no version of its own.
constexpr uint16_t kOfferVersion = 3;
constexpr uint32_t kMaxSlots = 4096, kMaxSlotBytes = 64u << 20;
constexpr size_t kHopFixedBytes = 8 + 4 + 4 + 4;
static_assert(2 + kMaxStripes * (1 + kHopFixedBytes + kMaxEndpointBytes) <= kMaxLaneOfferBytes);

void PutHopOffer(ByteWriter& w, const HopOffer& offer) {
  w.Put<uint64_t>(offer.window.address);
  w.Put<uint32_t>(offer.window.key);
  w.Put<uint32_t>(offer.slots);
  w.Put<uint32_t>(offer.slot_bytes);
  Put(w, offer.endpoint);
}

tl::unexpected<Error> MalformedOffer() {
  return Fail(ErrorCode::kRemote, "the neighbour's offer of RDMA is malformed");
}

Result<HopOffer> TakeHopOffer(ByteReader& r) {
  HopOffer offer;
  offer.window.address = r.Get<uint64_t>();
  offer.window.key = r.Get<uint32_t>();
  offer.slots = r.Get<uint32_t>();
  offer.slot_bytes = r.Get<uint32_t>();
  auto endpoint = TakeEndpoint(r);
  RELAY_TRY(endpoint);
  offer.endpoint = std::move(*endpoint);
  if (offer.slots > kMaxSlots || offer.slot_bytes > kMaxSlotBytes) return MalformedOffer();
  return offer;
}

}  // namespace

std::vector<std::byte> EncodeHopOffer(const HopOffer& offer) { return EncodeLaneOffer({.first = offer}); }

Result<HopOffer> DecodeHopOffer(std::span<const std::byte> bytes) {
  if (bytes.size() > kMaxHopOfferBytes) return MalformedOffer();
  auto offer = DecodeLaneOffer(bytes);
  RELAY_TRY(offer);
  if (!offer->parallel.empty()) return MalformedOffer();
  return std::move(offer->first);
}

std::vector<std::byte> EncodeLaneOffer(const LaneOffer& offer) {
  ByteWriter w;
  w.Put<uint16_t>(kOfferVersion);
  PutHopOffer(w, offer.first);
  const size_t count = std::min(offer.parallel.size(), kMaxParallelLinks);
  for (const auto& hop : std::span(offer.parallel).first(count)) {
    w.Put<uint8_t>(hop.has_value());
    if (hop) PutHopOffer(w, *hop);
  }
  return w.take();
}

Result<LaneOffer> DecodeLaneOffer(std::span<const std::byte> bytes) {
  ByteReader r(bytes);
  if (bytes.size() > kMaxLaneOfferBytes || r.Get<uint16_t>() != kOfferVersion) {
    return Fail(ErrorCode::kRemote,
                "the neighbour offers RDMA in another version: install the same nccl-relay on both");
  }
  auto first = TakeHopOffer(r);
  RELAY_TRY(first);
  LaneOffer offer{.first = std::move(*first)};
  while (r.remaining() > 0) {
    const auto present = r.Get<uint8_t>();
    if (present > 1 || offer.parallel.size() == kMaxParallelLinks) return MalformedOffer();
    offer.parallel.emplace_back();
    if (present == 0) continue;
    auto hop = TakeHopOffer(r);
    RELAY_TRY(hop);
    offer.parallel.back() = std::move(*hop);
  }
  if (!r.AtEnd()) return MalformedOffer();
  return offer;
}

}  // namespace relay::transport::rdma
