// What the two ends of a hop's queue pair tell each other in OPEN and OPENED.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "relay/lane.h"
#include "relay/setup.h"
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
  // Where a hop ends or begins at a relay: how many packets the offering side takes ahead, and how large.
  uint32_t slots = 0, slot_bytes = 0;
};

inline constexpr size_t kMaxHopOfferBytes = 1024;

std::vector<std::byte> EncodeHopOffer(const HopOffer& offer);
// Everything bounded; nothing may follow.
Result<HopOffer> DecodeHopOffer(std::span<const std::byte> bytes);

// What a lane without relays offers: a queue pair on the path's only link and on each of OPEN's parallel links, in that
// order; nothing where none can be made. Without parallel links it has the bytes of its hop's offer.
struct LaneOffer {
  HopOffer first{};
  std::vector<std::optional<HopOffer>> parallel = {};
};

inline constexpr size_t kMaxLaneOfferBytes = 3072;
static_assert(kMaxStripes == 1 + kMaxParallelLinks);

// Links beyond kMaxParallelLinks are left out.
std::vector<std::byte> EncodeLaneOffer(const LaneOffer& offer);
Result<LaneOffer> DecodeLaneOffer(std::span<const std::byte> bytes);

}  // namespace relay::transport::rdma
