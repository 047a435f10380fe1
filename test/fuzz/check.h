// What a fuzz target promises beyond "no crash": a broken promise is a finding like any other.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace relay::fuzz {

inline void Check(bool holds) {
  if (!holds) __builtin_trap();
}

inline std::span<const std::byte> Bytes(const uint8_t* data, size_t size) {
  return std::as_bytes(std::span(data, size));
}

}  // namespace relay::fuzz
