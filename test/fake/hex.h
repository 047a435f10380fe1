// Bytes as text, for tests that say which bytes a format has.
#pragma once
#include <cstddef>
#include <span>
#include <string>

namespace relay::fake {

inline std::string Hex(std::span<const std::byte> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (std::byte b : bytes) {
    out += kDigits[std::to_integer<unsigned>(b) >> 4];
    out += kDigits[std::to_integer<unsigned>(b) & 15];
  }
  return out;
}

}  // namespace relay::fake
