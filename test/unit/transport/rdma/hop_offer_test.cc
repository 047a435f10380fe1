#include "transport/rdma/hop_offer.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "fake/hex.h"
#include "fake/lane_pair.h"
#include "fake/striped_pair.h"

namespace relay::transport::rdma::hop_offer {
namespace {

HopOffer SomeOffer() {
  HopOffer offer{.endpoint = {.queue_pair = 0x010203, .first_packet = 0x040506, .lid = 7, .mtu = 4096},
                 .window = {.address = 0x1112131415161718, .key = 0x21222324},
                 .slots = 16,
                 .slot_bytes = 131072};
  Gid gid{.index = 3, .type = GidType::kRoce2};
  gid.bytes[15] = std::byte{9};
  offer.endpoint.gids = {gid};
  return offer;
}

const std::string kOffer =
    "1817161514131211"
    "24232221"
    "10000000"
    "00000200"
    "03020100"
    "06050400"
    "00"
    "0700"
    "0010"
    "ff"
    "ff"
    "01"
    "0000000000000000000000000000000902";

TEST(HopOffer, HasTheseBytes) { EXPECT_EQ(fake::Hex(EncodeHopOffer(SomeOffer())), "0300" + kOffer); }

TEST(LaneOffer, HasThoseOfItsHopsOneAfterTheOther) {
  const LaneOffer offer{.first = SomeOffer(), .parallel = {std::nullopt, SomeOffer()}};
  const auto bytes = EncodeLaneOffer(offer);
  EXPECT_EQ(fake::Hex(bytes), "0300" + kOffer + "00" + "01" + kOffer);
  const auto back = DecodeLaneOffer(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(EncodeLaneOffer(*back), bytes);
  EXPECT_FALSE(DecodeHopOffer(bytes)) << "a hop has one queue pair";
}

TEST(LaneOffer, AnotherVersionIsRefusedInWords) {
  auto bytes = EncodeHopOffer(SomeOffer());
  bytes[0] = std::byte{99};
  const auto refused = DecodeLaneOffer(bytes);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().what.find("install the same nccl-relay on both"), std::string::npos);
}

TEST(HopOffer, ComesBackAsItWasAndNotInPart) {
  fake::DirectLanes lanes;
  HopOffer offer = lanes.sender->offer();
  offer.slots = 12;
  offer.slot_bytes = 4096;
  const auto bytes = EncodeHopOffer(offer);
  ASSERT_LE(bytes.size(), kMaxHopOfferBytes);
  const auto back = DecodeHopOffer(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(EncodeHopOffer(*back), bytes);
  EXPECT_EQ(back->window.address, offer.window.address);
  EXPECT_EQ(back->window.key, offer.window.key);
  EXPECT_EQ(back->slots, 12u);
  EXPECT_EQ(back->slot_bytes, 4096u);
  EXPECT_EQ(back->endpoint.queue_pair, offer.endpoint.queue_pair);
  EXPECT_EQ(back->endpoint.first_packet, offer.endpoint.first_packet);
  EXPECT_EQ(back->endpoint.gids.size(), offer.endpoint.gids.size());
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(DecodeHopOffer(std::span(bytes).first(n))) << n;
  auto more = bytes;
  more.push_back(std::byte{0});
  EXPECT_FALSE(DecodeHopOffer(more));
}

TEST(HopOffer, SlotsAreBounded) {
  fake::DirectLanes lanes;
  const auto decoded = [&](uint32_t slots, uint32_t bytes) {
    HopOffer offer = lanes.sender->offer();
    offer.slots = slots;
    offer.slot_bytes = bytes;
    return DecodeHopOffer(EncodeHopOffer(offer)).has_value();
  };
  EXPECT_TRUE(decoded(4096, 64u << 20));
  EXPECT_FALSE(decoded(4097, 64u << 20));
  EXPECT_FALSE(decoded(4096, (64u << 20) + 1));
}

TEST(LaneOffer, ComesBackAsItWasAndNotInPart) {
  fake::StripedLanes lanes(4);
  LaneOffer offer = lanes.Dial(lanes.a);
  offer.parallel[1].reset();
  const auto bytes = EncodeLaneOffer(offer);
  const auto back = DecodeLaneOffer(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(EncodeLaneOffer(*back), bytes);
  ASSERT_EQ(back->parallel.size(), 3U);
  EXPECT_EQ(back->parallel[2]->endpoint.queue_pair, offer.parallel[2]->endpoint.queue_pair);
  EXPECT_FALSE(back->parallel[1]);
  EXPECT_FALSE(DecodeHopOffer(bytes)) << "a hop is one link";
  // What ends between two links is an offer of fewer of them.
  for (size_t n = 0; n < bytes.size(); ++n) {
    const auto part = DecodeLaneOffer(std::span(bytes).first(n));
    EXPECT_TRUE(!part || part->parallel.size() < 3U) << n;
  }
  auto more = bytes;
  more.push_back(std::byte{0});
  EXPECT_FALSE(DecodeLaneOffer(more)) << "a fifth link";
  more.back() = std::byte{2};
  EXPECT_FALSE(DecodeLaneOffer(more));
}

TEST(LaneOffer, TheLongestFitsItsBound) {
  LaneOffer offer;
  offer.first.endpoint = {.queue_pair = 17, .first_packet = 1, .gids = std::vector<Gid>(kMaxGids)};
  for (Gid& gid : offer.first.endpoint.gids) gid.bytes[15] = std::byte{1}, gid.type = GidType::kRoce2;
  offer.parallel.assign(kMaxParallelLinks, offer.first);
  const auto bytes = EncodeLaneOffer(offer);
  EXPECT_LE(bytes.size(), kMaxLaneOfferBytes);
  EXPECT_LT(kMaxLaneOfferBytes + 64, kMaxOfferBytes) << "with what OPENED puts around it";
  EXPECT_TRUE(DecodeLaneOffer(bytes));
}

// Whatever is accepted says nothing that its bytes do not.
TEST(LaneOffer, FlippedBytesAreRefusedOrMeanThemselves) {
  fake::StripedLanes lanes(3);
  LaneOffer offer = lanes.Dial(lanes.a);
  offer.parallel[1].reset();
  const auto good = EncodeLaneOffer(offer);
  std::mt19937 random(4);
  size_t accepted = 0, refused = 0;
  for (int round = 0; round < 30000; ++round) {
    auto bytes = good;
    for (unsigned i = random() % 3; i < 3; ++i) {
      const size_t at = random() % 3 == 0 ? bytes.size() - 1 : random() % bytes.size();  // the last: no third link
      bytes[at] = static_cast<std::byte>(random() % 2 == 0 ? random() : random() % 3);
    }
    const auto decoded = DecodeLaneOffer(bytes);
    ++(decoded ? accepted : refused);
    if (decoded) {
      ASSERT_EQ(EncodeLaneOffer(*decoded), bytes);
    }
  }
  EXPECT_GT(accepted, 1000u);
  EXPECT_GT(refused, 1000u);
}

}  // namespace
}  // namespace relay::transport::rdma::hop_offer
