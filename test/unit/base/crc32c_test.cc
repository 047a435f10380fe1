#include "base/crc32c.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <cstring>
#include <string_view>
#include <vector>

namespace relay::crc32c {
namespace {

std::vector<Way> AllWays() {
  std::vector<Way> ways = {ByTables, [](auto bytes, uint32_t before) { return Crc32c(bytes, before); }};
  if (const Way way = ByInstruction()) ways.push_back(way);
  return ways;
}

// Bit by bit, as the polynomial is written.
uint32_t ByDefinition(std::span<const std::byte> bytes) {
  uint32_t sum = ~0u;
  for (const std::byte byte : bytes) {
    sum ^= static_cast<uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) sum = (sum & 1) != 0 ? sum >> 1 ^ 0x82f63b78 : sum >> 1;
  }
  return ~sum;
}

// RFC 3720, B.4, and the check value of CRC catalogues.
TEST(Crc32c, KnownVectors) {
  std::array<std::byte, 32> zeros{}, ones, rising, falling;
  ones.fill(std::byte{0xff});
  for (size_t i = 0; i < 32; ++i) {
    rising[i] = static_cast<std::byte>(i);
    falling[i] = static_cast<std::byte>(31 - i);
  }
  for (const Way way : AllWays()) {
    EXPECT_EQ(way(zeros, 0), 0x8a9136aau);
    EXPECT_EQ(way(ones, 0), 0x62a8ab43u);
    EXPECT_EQ(way(rising, 0), 0x46dd794eu);
    EXPECT_EQ(way(falling, 0), 0x113fdb5cu);
    EXPECT_EQ(way(std::as_bytes(std::span(std::string_view("123456789"))), 0), 0xe3069283u);
    EXPECT_EQ(way({}, 0), 0u);
  }
}

TEST(Crc32c, ThisProcessorsInstructionIsTried) {
#if defined(__x86_64__)
  EXPECT_NE(ByInstruction(), nullptr) << "every processor since 2008 has it";
#endif
}

RC_GTEST_PROP(Crc32c, EveryWayIsTheSameAtAnyPlaceAndInAnyPieces, ()) {
  const auto values = *rc::gen::container<std::vector<uint8_t>>(rc::gen::arbitrary<uint8_t>());
  const auto bytes = std::as_bytes(std::span(values));
  const auto from = *rc::gen::inRange<size_t>(0, values.size() + 1);
  const auto tail = bytes.subspan(from);
  const auto cut = *rc::gen::inRange<size_t>(0, tail.size() + 1);
  for (const Way way : AllWays()) {
    RC_ASSERT(way(tail, 0) == ByDefinition(tail));
    RC_ASSERT(way(tail.subspan(cut), way(tail.first(cut), 0)) == ByDefinition(tail));
  }
}

RC_GTEST_PROP(Crc32c, AnyFlippedBitIsSeen, ()) {
  auto values = *rc::gen::nonEmpty(rc::gen::container<std::vector<uint8_t>>(rc::gen::arbitrary<uint8_t>()));
  const uint32_t before = Crc32c(std::as_bytes(std::span(values)));
  const auto bit = *rc::gen::inRange<size_t>(0, values.size() * 8);
  values[bit / 8] = static_cast<uint8_t>(values[bit / 8] ^ 1u << bit % 8);
  RC_ASSERT(Crc32c(std::as_bytes(std::span(values))) != before);
}

}  // namespace
}  // namespace relay::crc32c
