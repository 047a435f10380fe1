// What neighbours say about their queue pairs, and the packets that they send through them: what is accepted is within
// its bounds and survives a round trip.
#include <algorithm>

#include "circuit/offer.h"
#include "fuzz/check.h"
#include "relay/frame.h"
#include "relay/setup.h"
#include "transport/rdma/hop_offer.h"
#include "transport/rdma/packet.h"

namespace relay::transport::rdma {
namespace {

bool Same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

void CheckOffer(std::span<const std::byte> bytes) {
  if (auto offer = DecodeHopOffer(bytes)) {
    fuzz::Check(bytes.size() <= kMaxHopOfferBytes && kMaxHopOfferBytes < kMaxOfferBytes);
    fuzz::Check(offer->endpoint.gids.size() <= 32);
    fuzz::Check(Same(EncodeHopOffer(*offer), bytes));
  }
  if (auto offer = DecodeLaneOffer(bytes)) {
    fuzz::Check(bytes.size() <= kMaxLaneOfferBytes && kMaxLaneOfferBytes < kMaxOfferBytes);
    fuzz::Check(offer->parallel.size() <= kMaxParallelLinks);
    fuzz::Check(Same(EncodeLaneOffer(*offer), bytes));
  }
  if (auto offer = circuit::DecodeOffer(bytes)) fuzz::Check(Same(circuit::EncodeOffer(*offer), bytes));
}

void CheckPacket(std::span<const std::byte> bytes) {
  if (bytes.size() < kPacketBytes) return;
  const auto header = bytes.first<kPacketBytes>();
  auto packet = DecodePacket(header);
  if (!packet) return;
  fuzz::Check(packet->total <= kMaxMessageBytes && packet->offset + packet->length <= packet->total);
  fuzz::Check(Same(EncodePacket(*packet), header));
}

}  // namespace
}  // namespace relay::transport::rdma

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = relay::fuzz::Bytes(data, size);
  relay::transport::rdma::CheckOffer(bytes);
  relay::transport::rdma::CheckPacket(bytes);
  return 0;
}
