#include "comm/handle.h"

#include <gtest/gtest.h>

#include <cstring>

namespace relay::comm {
namespace {

std::array<std::byte, kHandleBytes> Encoded() {
  Handle h{.port = 0x0102, .node = 0x1122334455667788, .agreement = 0x99aabbccddeeff00, .node_name = "spark-3"};
  for (size_t i = 0; i < h.token.size(); ++i) h.token[i] = static_cast<std::byte>(i);
  std::array<std::byte, kHandleBytes> out;
  out.fill(std::byte{0xee});
  EncodeHandle(h, out);
  return out;
}

TEST(Handle, BytesAreFrozen) {
  const uint8_t golden[48] = {0x6e, 0x52, 0x4c, 0x68, 1,    0,    2,    1,    0x88, 0x77, 0x66, 0x55,
                              0x44, 0x33, 0x22, 0x11, 0x00, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99,
                              0,    1,    2,    3,    4,    5,    6,    7,    8,    9,    10,   11,
                              12,   13,   14,   15,   's',  'p',  'a',  'r',  'k',  '-',  '3',  0};
  auto bytes = Encoded();
  EXPECT_EQ(0, std::memcmp(bytes.data(), golden, sizeof golden));
  for (size_t i = sizeof golden; i < bytes.size(); ++i) EXPECT_EQ(bytes[i], std::byte{0}) << i;
}

TEST(Handle, WhatIsEncodedDecodesToTheSame) {
  auto h = DecodeHandle(Encoded());
  ASSERT_TRUE(h);
  EXPECT_EQ(h->port, 0x0102);
  EXPECT_EQ(h->node, 0x1122334455667788u);
  EXPECT_EQ(h->agreement, 0x99aabbccddeeff00u);
  EXPECT_EQ(h->token[15], std::byte{15});
  EXPECT_EQ(h->node_name, "spark-3");
}

TEST(Handle, CarriesAsManyAddressesAsFit) {
  Handle h{.port = 21517, .node = 1};
  for (const char* text : {"10.0.0.1", "fd00::1", "fd00::2", "fd00::3", "fd00::4", "192.168.1.2"}) {
    h.addresses.push_back(*SocketAddress::Parse(text));
  }
  std::array<std::byte, kHandleBytes> bytes;
  EncodeHandle(h, bytes);
  auto decoded = DecodeHandle(bytes);
  ASSERT_TRUE(decoded);
  std::string texts;
  for (const SocketAddress& a : decoded->addresses) texts += a.ToText() + " ";
  EXPECT_EQ(texts, "10.0.0.1:21517 [fd00::1]:21517 [fd00::2]:21517 [fd00::3]:21517 ");
}

TEST(Handle, DamagedAddressesEndTheirListAndNothingElse) {
  auto bytes = Encoded();
  bytes[72] = std::byte{5};
  auto decoded = DecodeHandle(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_TRUE(decoded->addresses.empty());
  bytes[72] = std::byte{16};
  bytes[72 + 17] = std::byte{200};
  decoded = DecodeHandle(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->addresses.size(), 1u);
}

TEST(Handle, AnotherPluginsHandleIsNamedAsSuch) {
  std::array<std::byte, kHandleBytes> zero{};
  auto h = DecodeHandle(zero);
  ASSERT_FALSE(h);
  EXPECT_EQ(h.error().code, ErrorCode::kUsage);
  EXPECT_NE(h.error().what.find("NCCL_NET_PLUGIN=relay"), std::string::npos);
  auto other = Encoded();
  other[4] = std::byte{9};
  EXPECT_FALSE(DecodeHandle(other));
}

}  // namespace
}  // namespace relay::comm
