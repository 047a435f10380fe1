#include "stream/placement.h"

#include <cstdint>
#include <cstring>

namespace relay::stream {
namespace {

void PlaceBytes(std::byte* to, const std::byte* from, size_t n) {
  for (size_t i = 0; i < n; ++i)
    __atomic_store_n(reinterpret_cast<uint8_t*>(to + i), static_cast<uint8_t>(from[i]), __ATOMIC_RELEASE);
}

}  // namespace

void PlaceInOrder(std::byte* to, const std::byte* from, size_t n) {
  size_t head = (8 - reinterpret_cast<uintptr_t>(to) % 8) % 8;
  if (head > n) head = n;
  PlaceBytes(to, from, head);
  size_t at = head;
  for (; at + 8 <= n; at += 8) {
    uint64_t word;
    std::memcpy(&word, from + at, 8);
    __atomic_store_n(reinterpret_cast<uint64_t*>(to + at), word, __ATOMIC_RELEASE);
  }
  PlaceBytes(to + at, from + at, n - at);
}

}  // namespace relay::stream
