// The news of posted receives, as the receiver writes them by RDMA into the sender's memory.
#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "base/codec.h"
#include "relay/lane.h"

namespace relay::transport::rdma {

// Little-endian. The last word names the message and is believed only with a sum that fits: whatever part of an entry
// a device has written so far, it is never taken for the whole.
//
//   0          8          12     16                             32     40
//   +----------+----------+------+------+------+------+------+------+-------------+
//   | address  | capacity | zero | a key for each stripe       | sum  | message + 1 |
//   +----------+----------+------+------+------+------+------+------+-------------+
struct CtsEntry {
  uint64_t address = 0;
  uint32_t capacity = 0;
  std::array<uint32_t, kMaxStripes> keys{};
};
inline constexpr size_t kCtsEntryBytes = 48;
inline constexpr size_t kCtsWords = kCtsEntryBytes / sizeof(uint64_t);
using CtsBytes = std::array<std::byte, kCtsEntryBytes>;

// Each word is mixed before the next comes in: keys of several devices are often alike, and those of the entry before
// in this place, too, so that a mere sum of them could come out the same with half of the words still old.
inline uint64_t CtsSum(const CtsEntry& entry, uint64_t message) {
  constexpr uint64_t kOdd = 0x9e3779b97f4a7c15U;  // every bit counts in all above it
  uint64_t sum = (entry.address ^ (message + 1)) * kOdd;
  sum = (sum ^ sum >> 32 ^ entry.capacity) * kOdd;
  for (const uint32_t key : entry.keys) sum = (sum ^ sum >> 32 ^ key) * kOdd;
  return sum;
}

inline CtsBytes EncodeCts(const CtsEntry& entry, uint64_t message) {
  CtsBytes out{};
  PutLe<uint64_t>(out.data(), entry.address);
  PutLe<uint32_t>(out.data() + 8, entry.capacity);
  for (size_t i = 0; i < kMaxStripes; ++i) PutLe<uint32_t>(out.data() + 16 + 4 * i, entry.keys[i]);
  PutLe<uint64_t>(out.data() + 32, CtsSum(entry, message));
  PutLe<uint64_t>(out.data() + 40, message + 1);
  return out;
}

// `slot` is memory that a device may be writing; 8-byte aligned. nullopt: not (wholly) there yet.
inline std::optional<CtsEntry> ReadCts(const std::byte* slot, uint64_t message) {
  uint64_t words[kCtsWords];
  const auto* from = reinterpret_cast<const uint64_t*>(slot);
  words[5] = __atomic_load_n(&from[5], __ATOMIC_ACQUIRE);
  const auto* bytes = reinterpret_cast<const std::byte*>(words);
  if (GetLe<uint64_t>(bytes + 40) != message + 1) return std::nullopt;
  for (int i = 0; i < 5; ++i) words[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
  CtsEntry entry{GetLe<uint64_t>(bytes), GetLe<uint32_t>(bytes + 8)};
  for (size_t i = 0; i < kMaxStripes; ++i) entry.keys[i] = GetLe<uint32_t>(bytes + 16 + 4 * i);
  if (GetLe<uint32_t>(bytes + 12) != 0 || GetLe<uint64_t>(bytes + 32) != CtsSum(entry, message)) return std::nullopt;
  return entry;
}

}  // namespace relay::transport::rdma
