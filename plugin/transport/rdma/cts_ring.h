// The news of posted receives, as the receiver writes them by RDMA into the sender's memory.
#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "base/codec.h"

namespace relay::transport::rdma {

// Little-endian. The last word names the message and is believed only with a sum that fits: whatever part of an entry
// a device has written so far, it is never taken for the whole.
//
//   0          8      12        16     24
//   +----------+------+---------+------+-------------+
//   | address  | key  | capacity| sum  | message + 1 |
//   +----------+------+---------+------+-------------+
struct CtsEntry {
  uint64_t address = 0;
  uint32_t key = 0, capacity = 0;
};
inline constexpr size_t kCtsEntryBytes = 32;
using CtsBytes = std::array<std::byte, kCtsEntryBytes>;

inline uint64_t CtsSum(const CtsEntry& entry, uint64_t message) {
  uint64_t sum = entry.address ^ (uint64_t{entry.key} << 32 | entry.capacity);
  return (sum ^ (message + 1)) * 0x9e3779b97f4a7c15U;  // odd: every bit of the three counts
}

inline CtsBytes EncodeCts(const CtsEntry& entry, uint64_t message) {
  CtsBytes out;
  PutLe<uint64_t>(out.data(), entry.address);
  PutLe<uint32_t>(out.data() + 8, entry.key);
  PutLe<uint32_t>(out.data() + 12, entry.capacity);
  PutLe<uint64_t>(out.data() + 16, CtsSum(entry, message));
  PutLe<uint64_t>(out.data() + 24, message + 1);
  return out;
}

// `slot` is memory that a device may be writing; 8-byte aligned. nullopt: not (wholly) there yet.
inline std::optional<CtsEntry> ReadCts(const std::byte* slot, uint64_t message) {
  uint64_t words[4];
  const auto* from = reinterpret_cast<const uint64_t*>(slot);
  words[3] = __atomic_load_n(&from[3], __ATOMIC_ACQUIRE);
  if (GetLe<uint64_t>(reinterpret_cast<const std::byte*>(&words[3])) != message + 1) return std::nullopt;
  for (int i = 0; i < 3; ++i) words[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
  const auto* bytes = reinterpret_cast<const std::byte*>(words);
  CtsEntry entry{GetLe<uint64_t>(bytes), GetLe<uint32_t>(bytes + 8), GetLe<uint32_t>(bytes + 12)};
  if (GetLe<uint64_t>(bytes + 16) != CtsSum(entry, message)) return std::nullopt;
  return entry;
}

}  // namespace relay::transport::rdma
