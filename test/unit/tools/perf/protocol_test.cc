#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "perf/memory.h"
#include "perf/protocol.h"

namespace relay::perf {
namespace {

std::vector<float> Numbers(size_t count) {
  std::vector<float> out(count);
  std::iota(out.begin(), out.end(), 1.0F);
  return out;
}

TEST(PerfProtocol, MessagesAreAsLongAsNcclsLines) {
  EXPECT_EQ(MessageBytes(Protocol::kSimple, 3), 12U);
  EXPECT_EQ(MessageBytes(Protocol::kLl, 1), 16U);
  EXPECT_EQ(MessageBytes(Protocol::kLl, 3), 32U);
  EXPECT_EQ(MessageBytes(Protocol::kLl128, 30), 128U);
  EXPECT_EQ(MessageBytes(Protocol::kLl128, 31), 256U);
  for (Protocol protocol : {Protocol::kSimple, Protocol::kLl, Protocol::kLl128}) {
    EXPECT_EQ(MessageBytes(protocol, 0), 0U);
    EXPECT_LE(MessageBytes(protocol, Capacity(protocol, 65536)), 65536U);
    EXPECT_GT(MessageBytes(protocol, Capacity(protocol, 65536) + 1), 65536U);
  }
}

class Polled : public ::testing::TestWithParam<Protocol> {
 protected:
  void Encode(const std::vector<float>& floats, uint32_t flag, std::byte* slot) {
    if (GetParam() == Protocol::kLl) EncodeLl(floats, flag, slot);
    if (GetParam() == Protocol::kLl128) EncodeLl128(floats, flag, slot);
  }
  size_t Decode(const std::byte* slot, uint32_t flag, std::span<float> out, size_t done) {
    return GetParam() == Protocol::kLl ? DecodeLl(slot, flag, out, done) : DecodeLl128(slot, flag, out, done);
  }
};

TEST_P(Polled, WhatGoesInComesOut) {
  const Memory slot = Memory::Map(65536).value();
  for (size_t count : {1, 2, 29, 30, 31, 61, 1000}) {
    const auto flag = static_cast<uint32_t>(count);
    const auto in = Numbers(count);
    std::vector<float> out(count);
    Encode(in, flag, slot.data());
    EXPECT_EQ(Decode(slot.data(), flag, out, 0), count);
    EXPECT_EQ(in, out);
  }
}

TEST_P(Polled, OnlyWhatHasArrivedIsRead) {
  const size_t count = 90;
  const size_t bytes = MessageBytes(GetParam(), count);
  const Memory sent = Memory::Map(bytes).value(), slot = Memory::Map(bytes).value();
  const auto in = Numbers(count);
  std::vector<float> out(count, -1);
  EncodeLl(std::vector<float>(count, 5), 1, slot.data());  // what the slot's last use left
  Encode(in, 2, sent.data());
  size_t done = 0;
  for (size_t at = 0; at < bytes; at += 8) {
    const size_t before = done;
    done = Decode(slot.data(), 2, out, done);
    EXPECT_GE(done, before);
    EXPECT_LE(MessageBytes(GetParam(), done), at + (GetParam() == Protocol::kLl ? 8 : 0));
    for (size_t i = 0; i < done; ++i) ASSERT_EQ(out[i], in[i]);
    std::memcpy(slot.data() + at, sent.data() + at, 8);
  }
  EXPECT_EQ(Decode(slot.data(), 2, out, done), count);
  EXPECT_EQ(in, out);
}

INSTANTIATE_TEST_SUITE_P(Perf, Polled, ::testing::Values(Protocol::kLl, Protocol::kLl128));

// A network that lets a line's flag overtake its data must show.
TEST(PerfProtocol, AFlagBeforeItsDataIsAWrongResult) {
  const Memory sent = Memory::Map(128).value(), slot = Memory::Map(128).value();
  const auto in = Numbers(30);
  std::vector<float> out(30);
  EncodeLl128(in, 2, sent.data());
  std::memcpy(slot.data() + 64, sent.data() + 64, 64);
  EXPECT_EQ(DecodeLl128(slot.data(), 2, out, 0), 30U);
  EXPECT_NE(in, out);
}

}  // namespace
}  // namespace relay::perf
