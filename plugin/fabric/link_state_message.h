// What agents tell each other about records, and its bytes. Pure values.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "fabric/record.h"

namespace relay::fabric {

// Proof that whoever wrote some bytes holds the fabric's key; all zero where there is none.
using Mac = std::array<std::byte, 32>;

// A record as its node sealed it: passed on byte for byte.
struct SealedRecord {
  std::vector<std::byte> bytes;
  Mac mac{};
  // How long ago its node sealed it, as far as those who held it know; the seal does not cover it. It keeps a record
  // that nobody refreshes from living on by going round.
  uint32_t age_ms = 0;
};

struct EditionOf {
  NodeId node = 0;
  Edition edition;
};

namespace message {
struct Records {
  std::vector<SealedRecord> records;
};
// Order-free hash over what the records held say. Two that differ are followed by summaries.
struct Digest {
  uint64_t hash = 0;
};
// What the sender holds, by ascending node id; the receiver answers with Records that are newer, and with its own
// Summary where the sender's is (once: `answer` says that this is one).
struct Summary {
  std::vector<EditionOf> held;
  bool answer = false;
};
}  // namespace message
using LinkStateMessage = std::variant<message::Records, message::Digest, message::Summary>;

std::vector<std::byte> EncodeLinkState(const LinkStateMessage& message);
// Refuses what is out of bounds, summaries that are not in order, and bytes left over. The records in it are not looked
// into: their seals come first.
Result<LinkStateMessage> DecodeLinkState(std::span<const std::byte> bytes);
// One encoded message is no longer; senders split.
inline constexpr size_t kMaxLinkStateBytes = size_t{1} << 20;

}  // namespace relay::fabric
