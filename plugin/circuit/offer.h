// What the receiving side offers in OPENED, whatever the transport.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "relay/result.h"

namespace relay::circuit {

struct Offer {
  uint64_t eager_bytes = 0;          // largest message that is taken before its receive is posted, over the socket
  std::vector<std::byte> rdma = {};  // a HopOffer; empty: messages travel over the socket
};

std::vector<std::byte> EncodeOffer(const Offer& offer);
Result<Offer> DecodeOffer(std::span<const std::byte> bytes);

}  // namespace relay::circuit
