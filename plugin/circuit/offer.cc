#include "circuit/offer.h"

#include "base/codec.h"
#include "relay/setup.h"

namespace relay::circuit {

std::vector<std::byte> EncodeOffer(const Offer& offer) {
  ByteWriter w;
  w.Put<uint32_t>(static_cast<uint32_t>(offer.eager_bytes));
  w.Put<uint16_t>(static_cast<uint16_t>(offer.rdma.size()));
  w.PutBytes(offer.rdma);
  return w.take();
}

Result<Offer> DecodeOffer(std::span<const std::byte> bytes) {
  ByteReader r(bytes);
  Offer offer{.eager_bytes = r.Get<uint32_t>()};
  const auto rdma = r.GetBytes(r.Get<uint16_t>());
  offer.rdma.assign(rdma.begin(), rdma.end());
  if (!r.AtEnd()) return Fail(ErrorCode::kRemote, "the peer's OPENED carries an offer of another version");
  return offer;
}

}  // namespace relay::circuit
