// What the two ends of a hop's queue pair tell each other in OPEN and OPENED.
#pragma once
#include <span>
#include <vector>

#include "transport/rdma/endpoint.h"

namespace relay::transport::rdma {

// Memory of the side that offers, which the other side writes small news into.
struct Window {
  uint64_t address = 0;
  uint32_t key = 0;
};

struct HopOffer {
  Endpoint endpoint{};
  Window window{};
  // Of a hop that ends or begins at a relay: how many packets the offering side takes ahead, and how large.
  uint32_t slots = 0, slot_bytes = 0;
};

inline constexpr size_t kMaxHopOfferBytes = 1024;

std::vector<std::byte> EncodeHopOffer(const HopOffer& offer);
// Everything bounded; nothing may follow.
Result<HopOffer> DecodeHopOffer(std::span<const std::byte> bytes);

}  // namespace relay::transport::rdma
