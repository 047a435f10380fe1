#include "relay/frame.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace relay {
namespace {

TEST(Frame, HeaderBytesAreFrozen) {
  FrameBytes bytes = EncodeFrame({.type = FrameType::kData,
                                  .flags = kPartEnd,
                                  .checksum = 0x01020304,
                                  .message = 5,
                                  .offset = 0x100,
                                  .length = 0x200,
                                  .total = 0x300,
                                  .extra = 0x80});
  const uint8_t golden[kFrameHeaderBytes] = {1, 1, 1, 0, 4, 3, 2, 1, 5, 0, 0, 0, 0, 0, 0, 0, 0,   1, 0, 0, 0, 0, 0, 0,
                                             0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 128, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(0, std::memcmp(bytes.data(), golden, sizeof golden));
}

TEST(Frame, WhatIsEncodedDecodesToTheSame) {
  FrameHeader in{.type = FrameType::kCts, .message = uint64_t{1} << 40, .total = kMaxMessageBytes, .extra = 7};
  auto out = DecodeFrame(EncodeFrame(in));
  ASSERT_TRUE(out);
  EXPECT_EQ(out->type, in.type);
  EXPECT_EQ(out->message, in.message);
  EXPECT_EQ(out->total, in.total);
  EXPECT_EQ(out->extra, in.extra);
}

TEST(Frame, IllegalHeadersAreRefused) {
  FrameHeader good{.type = FrameType::kData, .message = 1, .offset = 10, .length = 20, .total = 30, .extra = 0};
  ASSERT_TRUE(DecodeFrame(EncodeFrame(good)));
  auto refused = [&](auto change) {
    FrameHeader h = good;
    change(h);
    return !DecodeFrame(EncodeFrame(h));
  };
  EXPECT_TRUE(refused([](auto& h) { h.type = static_cast<FrameType>(0); }));
  EXPECT_TRUE(refused([](auto& h) { h.type = static_cast<FrameType>(8); }));
  EXPECT_TRUE(refused([](auto& h) { h.flags = 0x8000; }));
  EXPECT_TRUE(refused([](auto& h) { h.length = 21; }));
  EXPECT_TRUE(refused([](auto& h) { h.offset = ~uint64_t{0}; }));
  EXPECT_TRUE(refused([](auto& h) { h.total = kMaxMessageBytes + 1; }));
  EXPECT_TRUE(refused([](auto& h) { h.extra = 11; }));
  EXPECT_TRUE(refused([](auto& h) { h.type = FrameType::kAck; })) << "only DATA carries payload";
  const auto with_checksum = [&](uint64_t bytes) {
    return refused([&](auto& h) { h.flags = kChecksummed, h.length = bytes, h.total = h.offset + bytes; });
  };
  EXPECT_FALSE(with_checksum(kMaxChecksummedBytes));
  EXPECT_TRUE(with_checksum(kMaxChecksummedBytes + 1));
  FrameBytes other_version = EncodeFrame(good);
  other_version[0] = std::byte{2};
  EXPECT_FALSE(DecodeFrame(other_version));
}

TEST(Frame, RandomBytesNeverDecodeToAnIllegalHeader) {
  std::mt19937_64 rng(20261121);
  for (int i = 0; i < 200000; ++i) {
    FrameBytes in;
    for (auto& b : in) b = static_cast<std::byte>(rng() % 4 == 0 ? rng() : 0);
    if (rng() % 2) in[0] = std::byte{kWireVersion};
    auto h = DecodeFrame(in);
    if (!h) continue;
    if (h->type == FrameType::kData) {
      EXPECT_LE(h->offset + h->length, kMaxMessageBytes);
    }
    EXPECT_EQ(EncodeFrame(*h), in);
  }
}

}  // namespace
}  // namespace relay
