#include "relay/frame.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace relay {
namespace {

TEST(Frame, HeaderBytesAreFrozen) {
  FrameBytes bytes = EncodeFrame({.type = FrameType::kData,
                                  .flags = kChecksummed,
                                  .checksum = 0x01020304,
                                  .message = 5,
                                  .offset = 0x100,
                                  .length = 0x200,
                                  .total = 0x300});
  const uint8_t golden[kFrameHeaderBytes] = {2, 1, 1, 0, 4, 3, 2, 1, 5, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0,
                                             0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
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
  FrameHeader good{.type = FrameType::kData, .message = 1, .offset = 10, .length = 20, .total = 30};
  ASSERT_TRUE(DecodeFrame(EncodeFrame(good)));
  auto refused = [&](auto change) {
    FrameHeader h = good;
    change(h);
    return !DecodeFrame(EncodeFrame(h));
  };
  EXPECT_TRUE(refused([](auto& h) { h.type = static_cast<FrameType>(0); }));
  EXPECT_TRUE(refused([](auto& h) { h.type = static_cast<FrameType>(7); }));
  EXPECT_TRUE(refused([](auto& h) { h.flags = 0x8000; }));
  EXPECT_TRUE(refused([](auto& h) { h.length = 21; }));
  EXPECT_TRUE(refused([](auto& h) { h.offset = ~uint64_t{0}; }));
  EXPECT_TRUE(refused([](auto& h) { h.total = kMaxMessageBytes + 1; }));
  EXPECT_TRUE(refused([](auto& h) { h.extra = 1; }));
  EXPECT_TRUE(refused([](auto& h) { h.length = 0; })) << "an empty segment of a message that has bytes";
  EXPECT_FALSE(refused([](auto& h) { h.offset = h.length = h.total = 0; })) << "a message without bytes";
  EXPECT_TRUE(refused([](auto& h) { h.type = FrameType::kAck; })) << "only DATA carries payload";
  EXPECT_TRUE(refused([](auto& h) { h = {.type = FrameType::kAck, .flags = kChecksummed}; })) << "or its checksum";
  const auto with_checksum = [&](uint64_t bytes) {
    return refused([&](auto& h) { h.flags = kChecksummed, h.length = bytes, h.total = h.offset + bytes; });
  };
  EXPECT_FALSE(with_checksum(kMaxChecksummedBytes));
  EXPECT_TRUE(with_checksum(kMaxChecksummedBytes + 1));
  FrameBytes other_version = EncodeFrame(good);
  other_version[0] = std::byte{kWireVersion + 1};
  EXPECT_FALSE(DecodeFrame(other_version));
}

// Whatever is accepted says nothing that its bytes do not, and fits its message.
TEST(Frame, FlippedBytesAreRefusedOrMeanThemselves) {
  std::mt19937_64 random(20261121);
  size_t accepted = 0, refused = 0, data = 0;
  for (int i = 0; i < 100000; ++i) {
    FrameHeader header{.type = static_cast<FrameType>(1 + random() % 7), .message = random() % 100};
    if (header.type == FrameType::kData) {
      header.length = random() % 1000;
      header.total = random() % 4 == 0 ? random() % 1000 : header.length;
    }
    FrameBytes bytes = EncodeFrame(header);
    for (uint64_t flips = random() % 3; flips > 0; --flips) {
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    }
    const auto decoded = DecodeFrame(bytes);
    ++(decoded ? accepted : refused);
    if (!decoded) continue;
    ASSERT_EQ(EncodeFrame(*decoded), bytes);
    if (decoded->type != FrameType::kData) {
      ASSERT_EQ(decoded->length, 0u);
      continue;
    }
    ++data;
    ASSERT_LE(decoded->total, kMaxMessageBytes);
    ASSERT_LE(decoded->length, decoded->total);
    ASSERT_LE(decoded->offset, decoded->total - decoded->length);
  }
  EXPECT_GT(accepted, 10000u);
  EXPECT_GT(refused, 10000u);
  EXPECT_GT(data, 1000u);
}

}  // namespace
}  // namespace relay
