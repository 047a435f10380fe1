#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <functional>

#include "transport/rdma/endpoint.h"

namespace relay::transport::rdma {
namespace {

std::vector<std::byte> EndpointBytes(const Endpoint& endpoint) {
  ByteWriter out;
  Put(out, endpoint);
  return out.take();
}

Gid SomeGid(uint8_t last, GidType type) {
  Gid gid{.bytes = {}, .index = last, .type = type};
  gid.bytes[15] = std::byte{last};
  return gid;
}

Endpoint SomeEndpoint() {
  return {.queue_pair = 0x123456,
          .first_packet = 0xabcdef,
          .mtu = 4096,
          .gids = {SomeGid(1, GidType::kRoce1), SomeGid(2, GidType::kRoce2)},
          .chosen = 7,
          .own = 1};
}

rc::Gen<Endpoint> AnyEndpoint() {
  return rc::gen::exec([] {
    Endpoint out;
    out.queue_pair = *rc::gen::inRange<uint32_t>(2, 0x1000000);
    out.first_packet = *rc::gen::inRange<uint32_t>(0, 0x1000000);
    out.infiniband = *rc::gen::arbitrary<bool>();
    out.lid = *rc::gen::inRange<uint16_t>(0, 0xc000);
    out.mtu = *rc::gen::element<uint16_t>(256, 512, 1024, 2048, 4096);
    const auto count = *rc::gen::inRange<size_t>(0, kMaxGids + 1);
    for (size_t i = 0; i < count; ++i) {
      Gid gid;
      for (auto& byte : gid.bytes) byte = std::byte(*rc::gen::inRange<int>(1, 0xff));
      gid.type = out.infiniband ? GidType::kInfiniband : *rc::gen::element(GidType::kRoce1, GidType::kRoce2);
      out.gids.push_back(gid);
    }
    if (count > 0 && *rc::gen::arbitrary<bool>()) {
      out.chosen = *rc::gen::inRange<uint8_t>(0, kMaxGids);
      out.own = static_cast<uint8_t>(*rc::gen::inRange<size_t>(0, count));
    }
    return out;
  });
}

TEST(RdmaEndpoint, WhatIsPutIsTakenAndWhatFollowsStays) {
  EXPECT_TRUE(rc::check([] {
    const Endpoint endpoint = *AnyEndpoint();
    auto bytes = EndpointBytes(endpoint);
    RC_ASSERT(bytes.size() <= kMaxEndpointBytes);
    bytes.push_back(std::byte{42});
    ByteReader in(bytes);
    const auto taken = TakeEndpoint(in);
    RC_ASSERT(taken.has_value());
    RC_ASSERT(*taken == endpoint);
    RC_ASSERT(in.remaining() == 1u);
  }));
}

TEST(RdmaEndpoint, TheBytesStayAsTheyAre) {
  Endpoint endpoint{.queue_pair = 0x010203, .first_packet = 0x040506, .infiniband = true, .lid = 0x0708, .mtu = 2048};
  endpoint.gids = {SomeGid(9, GidType::kInfiniband)};
  const std::vector<uint8_t> golden = {3, 2, 1, 0, 6, 5, 4, 0, 1, 8, 7, 0, 8, 255, 255, 1,  // header
                                       0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,   0,   9,  // address
                                       0};
  const auto bytes = EndpointBytes(endpoint);
  ASSERT_EQ(bytes.size(), golden.size());
  for (size_t i = 0; i < golden.size(); ++i) EXPECT_EQ(std::to_integer<int>(bytes[i]), golden[i]) << i;
}

TEST(RdmaEndpoint, AddressesBeyondTheMostAreLeftOut) {
  Endpoint endpoint = SomeEndpoint();
  for (uint8_t i = 3; i < 200; ++i) endpoint.gids.push_back(SomeGid(i, GidType::kRoce2));
  const auto bytes = EndpointBytes(endpoint);
  EXPECT_LE(bytes.size(), kMaxEndpointBytes);
  ByteReader in(bytes);
  const auto taken = TakeEndpoint(in);
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->gids.size(), kMaxGids);
}

TEST(RdmaEndpoint, EveryTruncationIsRefused) {
  const auto bytes = EndpointBytes(SomeEndpoint());
  for (size_t size = 0; size < bytes.size(); ++size) {
    ByteReader in{std::span(bytes).first(size)};
    const auto taken = TakeEndpoint(in);
    ASSERT_FALSE(taken) << size;
    EXPECT_EQ(taken.error().code, ErrorCode::kRemote);
  }
}

TEST(RdmaEndpoint, WhatNoQueuePairCanHaveIsRefused) {
  const std::vector<std::pair<const char*, std::function<void(Endpoint&)>>> changes = {
      {"queue pair above 24 bits", [](Endpoint& e) { e.queue_pair = 0x1000000; }},
      {"queue pair of the subnet manager", [](Endpoint& e) { e.queue_pair = 1; }},
      {"packet above 24 bits", [](Endpoint& e) { e.first_packet = 0x1000000; }},
      {"multicast LID", [](Endpoint& e) { e.lid = 0xc000; }},
      {"MTU of no power of two", [](Endpoint& e) { e.mtu = 1500; }},
      {"MTU zero", [](Endpoint& e) { e.mtu = 0; }},
      {"MTU too large", [](Endpoint& e) { e.mtu = 8192; }},
      {"empty address", [](Endpoint& e) { e.gids[0].bytes = {}; }},
      {"multicast address", [](Endpoint& e) { e.gids[0].bytes[0] = std::byte{0xff}; }},
      {"InfiniBand's address on Ethernet", [](Endpoint& e) { e.gids[0].type = GidType::kInfiniband; }},
      {"unknown kind of address", [](Endpoint& e) { e.gids[0].type = static_cast<GidType>(3); }},
      {"RoCE on InfiniBand", [](Endpoint& e) { e.infiniband = true; }},
      {"own address outside the list", [](Endpoint& e) { e.own = 2; }},
      {"chosen address outside any list", [](Endpoint& e) { e.chosen = kMaxGids; }},
      {"half a choice", [](Endpoint& e) { e.own = kNoGid; }},
      {"the other half", [](Endpoint& e) { e.chosen = kNoGid; }},
  };
  for (const auto& [what, change] : changes) {
    Endpoint endpoint = SomeEndpoint();
    change(endpoint);
    const auto bytes = EndpointBytes(endpoint);
    ByteReader in(bytes);
    EXPECT_FALSE(TakeEndpoint(in)) << what;
  }
  const auto bytes = EndpointBytes(SomeEndpoint());
  ByteReader in(bytes);
  EXPECT_TRUE(TakeEndpoint(in)) << "unchanged";
}

TEST(RdmaEndpoint, AnAnswerWithoutAddressesIsPossibleOnInfinibandOnly) {
  Endpoint endpoint{.queue_pair = 5, .infiniband = true, .lid = 3, .chosen = 0, .own = 0};
  for (const bool infiniband : {true, false}) {
    endpoint.infiniband = infiniband;
    const auto bytes = EndpointBytes(endpoint);
    ByteReader in(bytes);
    EXPECT_EQ(TakeEndpoint(in).has_value(), infiniband);
  }
}

// Whatever is accepted is within bounds, and says nothing that its bytes do not.
TEST(RdmaEndpoint, HostileBytesAreRefusedOrMeanThemselves) {
  EXPECT_TRUE(rc::check([] {
    auto bytes = EndpointBytes(*AnyEndpoint());
    const auto hits = *rc::gen::inRange(0, 4);
    for (int i = 0; i < hits; ++i) {
      bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = std::byte(*rc::gen::arbitrary<uint8_t>());
    }
    ByteReader in(bytes);
    const auto taken = TakeEndpoint(in);
    if (!taken) return;
    RC_ASSERT(taken->gids.size() <= kMaxGids);
    const auto again = EndpointBytes(*taken);
    RC_ASSERT(again.size() + in.remaining() == bytes.size());
    RC_ASSERT(std::equal(again.begin(), again.end(), bytes.begin()));
  }));
}

TEST(RdmaEndpoint, AddressesAreWrittenAsPeopleWriteThem) {
  Gid gid = SomeGid(1, GidType::kRoce2);
  gid.bytes = {};
  gid.bytes[10] = gid.bytes[11] = std::byte{0xff};
  gid.bytes[12] = std::byte{10};
  gid.bytes[15] = std::byte{7};
  EXPECT_EQ(ToText(gid), "10.0.0.7 (RoCE v2)");
  gid.bytes = {};
  gid.bytes[0] = std::byte{0xfe};
  gid.bytes[1] = std::byte{0x80};
  gid.bytes[15] = std::byte{1};
  gid.type = GidType::kRoce1;
  EXPECT_EQ(ToText(gid), "fe80::1 (RoCE v1)");
  gid.type = GidType::kInfiniband;
  EXPECT_EQ(ToText(gid), "fe80::1 (InfiniBand)");
}

}  // namespace
}  // namespace relay::transport::rdma
