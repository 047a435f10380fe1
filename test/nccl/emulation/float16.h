// The two 16-bit floating-point types, converted in software: not every supported compiler has _Float16 on every
// x86-64.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace fakecuda {

struct Bfloat16 {
  uint16_t bits;

  Bfloat16() = default;
  explicit Bfloat16(float value) {
    auto wide = std::bit_cast<uint32_t>(value);
    bits = std::isnan(value) ? 0x7fff : static_cast<uint16_t>((wide + 0x7fff + (wide >> 16 & 1)) >> 16);
  }
  operator float() const { return std::bit_cast<float>(uint32_t{bits} << 16); }
};

struct Half {
  uint16_t bits;

  Half() = default;
  explicit Half(float value) {
    constexpr int kFractionBits = 10, kLowestExponent = -14, kHighestExponent = 15;
    auto sign = static_cast<uint16_t>(std::signbit(value) ? 0x8000 : 0);
    float size = std::fabs(value);
    if (std::isnan(value)) {
      bits = 0x7fff;
    } else if (size == 0) {
      bits = sign;
    } else if (std::isinf(value) || std::ilogb(size) > kHighestExponent) {
      bits = sign | 0x7c00;
    } else {
      // nearbyint() rounds halves to even; a carry out of the fraction runs into the exponent, up to infinity, as it
      // should.
      int exponent = std::max(std::ilogb(size), kLowestExponent);
      auto fraction = static_cast<int>(std::nearbyint(std::ldexp(size, kFractionBits - exponent)));
      bits = static_cast<uint16_t>(sign + ((exponent - kLowestExponent) << kFractionBits) + fraction);
    }
  }
  operator float() const {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float size = exponent == 31  ? (fraction ? NAN : INFINITY)
                 : exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                 : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
    return bits & 0x8000 ? -size : size;
  }
};

}  // namespace fakecuda
