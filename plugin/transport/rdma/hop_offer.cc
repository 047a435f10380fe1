#include "transport/rdma/hop_offer.h"

#include "base/codec.h"

namespace relay::transport::rdma {
namespace {

constexpr uint16_t kOfferVersion = 1;
constexpr uint32_t kMaxSlots = 4096, kMaxSlotBytes = 64u << 20;

}  // namespace

std::vector<std::byte> EncodeHopOffer(const HopOffer& offer) {
  ByteWriter w;
  w.Put<uint16_t>(kOfferVersion);
  w.Put<uint64_t>(offer.window.address);
  w.Put<uint32_t>(offer.window.key);
  w.Put<uint32_t>(offer.slots);
  w.Put<uint32_t>(offer.slot_bytes);
  Put(w, offer.endpoint);
  return w.take();
}

Result<HopOffer> DecodeHopOffer(std::span<const std::byte> bytes) {
  ByteReader r(bytes);
  if (bytes.size() > kMaxHopOfferBytes || r.Get<uint16_t>() != kOfferVersion) {
    return Fail(ErrorCode::kRemote, "the neighbour offers RDMA in another version");
  }
  HopOffer offer;
  offer.window.address = r.Get<uint64_t>();
  offer.window.key = r.Get<uint32_t>();
  offer.slots = r.Get<uint32_t>();
  offer.slot_bytes = r.Get<uint32_t>();
  auto endpoint = TakeEndpoint(r);
  if (!endpoint) return tl::unexpected(std::move(endpoint).error());
  offer.endpoint = std::move(*endpoint);
  if (!r.AtEnd() || offer.slots > kMaxSlots || offer.slot_bytes > kMaxSlotBytes) {
    return Fail(ErrorCode::kRemote, "the neighbour's offer of RDMA is malformed");
  }
  return offer;
}

}  // namespace relay::transport::rdma
