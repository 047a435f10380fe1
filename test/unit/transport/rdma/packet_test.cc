#include "transport/rdma/packet.h"

#include <gtest/gtest.h>

#include <functional>

#include "fake/hex.h"
#include "relay/frame.h"

namespace relay::transport::rdma::packet_test {
namespace {

Packet Data() {
  return {.type = PacketType::kData,
          .key = 0x01020304,
          .message = 0x1112131415161718,
          .offset = 0x200,
          .length = 0x100,
          .total = 0x300,
          .address = 0x2122232425262728};
}

TEST(RdmaPacket, HeadersHaveTheseBytes) {
  const std::string rest(32, '0');
  EXPECT_EQ(fake::Hex(EncodePacket(Data())),
            "0201000004030201"
            "1817161514131211"
            "0002000000000000"
            "0001000000030000"
            "2827262524232221"
            "0000000000000000" +
                rest);
  const Packet cts{.type = PacketType::kCts, .key = 7, .message = 5, .total = 0x1000, .address = 9, .whole = 4};
  EXPECT_EQ(fake::Hex(EncodePacket(cts)),
            "0202000007000000"
            "0500000000000000"
            "0000000000000000"
            "0000000000100000"
            "0900000000000000"
            "0400000000000000" +
                rest);
  EXPECT_EQ(fake::Hex(EncodePacket({.type = PacketType::kAck, .whole = 6})),
            "0203000000000000"
            "0000000000000000"
            "0000000000000000"
            "0000000000000000"
            "0000000000000000"
            "0600000000000000" +
                rest);
}

TEST(RdmaPacket, TheLastOneEndsItsMessage) {
  EXPECT_TRUE(Data().last());
  Packet packet = Data();
  packet.total += 1;
  EXPECT_FALSE(packet.last());
  EXPECT_TRUE((Packet{.type = PacketType::kData}).last()) << "a message without bytes";
}

TEST(RdmaPacket, WhatNobodySendsIsRefused) {
  const std::vector<std::pair<const char*, std::function<void(Packet&)>>> changes = {
      {"no type", [](Packet& p) { p.type = static_cast<PacketType>(0); }},
      {"an unknown type", [](Packet& p) { p.type = static_cast<PacketType>(4); }},
      {"longer than its message", [](Packet& p) { p.length = 0x101; }},
      {"behind its message", [](Packet& p) { p.offset = 0x301; }},
      {"an offset that wraps", [](Packet& p) { p.offset = ~uint64_t{0}; }},
      {"no bytes of a message that has some", [](Packet& p) { p.length = 0; }},
      {"a message longer than any", [](Packet& p) { p.total = uint32_t{kMaxMessageBytes} + 1; }},
      {"an ACK of a segment", [](Packet& p) { p.type = PacketType::kAck; }},
      {"a CTS of a segment", [](Packet& p) { p.type = PacketType::kCts; }},
  };
  ASSERT_TRUE(DecodePacket(EncodePacket(Data())));
  for (const auto& [what, change] : changes) {
    Packet packet = Data();
    change(packet);
    EXPECT_FALSE(DecodePacket(EncodePacket(packet))) << what;
  }
  for (const size_t zero : {size_t{0}, size_t{2}, size_t{3}, size_t{48}, kPacketBytes - 1}) {
    PacketHeader bytes = EncodePacket(Data());
    bytes[zero] ^= std::byte{0x40};
    EXPECT_FALSE(DecodePacket(bytes)) << zero;
  }
}

TEST(RdmaPacket, AnImmediateThatReturnsCreditIsTheseBits) {
  EXPECT_EQ(EncodeCredit(5), 0x80000005u);
  EXPECT_EQ(EncodeCredit(0x123456789a), 0xb456789au) << "the count goes round";
  EXPECT_TRUE(IsCredit(EncodeCredit(0)));
  EXPECT_FALSE(IsCredit(uint32_t{kMaxMessageBytes})) << "the size of a message";
}

}  // namespace
}  // namespace relay::transport::rdma::packet_test
