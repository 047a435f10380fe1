// Direct lanes over devices made of code: what arrives, what it costs, and what ends it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <random>

#include "fake/lane_pair.h"
#include "transport/rdma/cts_ring.h"

namespace relay::transport::rdma::direct_lane {
namespace {

using fake::DirectLanes;
using fake::Registered;
using testing::HasSubstr;

void Fill(std::vector<std::byte>& bytes, size_t seed) {
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 31 + seed * 7 + i / 255);
}

TEST(DirectLane, AMessageIsOneWriteOneDoorbellAndOneCompletionOnEachSide) {
  DirectLanes lanes;
  Registered from(*lanes.a, 70000), to(*lanes.b, 70000);
  Fill(from.bytes, 1);
  EXPECT_FALSE(*lanes.sender->CapacityOf(0));
  ASSERT_TRUE(*lanes.receiver->Announce(to.buffer(70000)));
  ASSERT_TRUE(lanes.receiver->Ring());
  ASSERT_EQ(*lanes.sender->CapacityOf(0), 70000U);
  const auto before = lanes.verbs.traffic();
  ASSERT_TRUE(*lanes.sender->Start(from.buffer(70000)));
  ASSERT_TRUE(lanes.sender->Ring());
  const auto after = lanes.verbs.traffic();
  EXPECT_EQ(after.writes - before.writes, 1U);
  EXPECT_EQ(after.send_chains - before.send_chains, 1U);
  EXPECT_EQ(after.completions - before.completions, 2U);
  EXPECT_EQ(after.receiver_not_ready, 0U);
  EXPECT_EQ(*lanes.receiver->NextWhole(), 70000U);
  EXPECT_EQ(to.bytes, from.bytes);
  EXPECT_EQ(*lanes.sender->Whole(), 1U);
  EXPECT_FALSE(*lanes.receiver->NextWhole());
}

TEST(DirectLane, AMessageAboveTheDevicesLimitTakesSeveralWrites) {
  fake::FakeVerbs verbs;
  for (const char* name : {"c", "d"}) {
    fake::DeviceSpec spec{.name = name, .ports = {fake::RocePort(name[0] == 'c' ? "10.0.0.1" : "10.0.0.2")}};
    spec.ports[0].max_message = 4096;
    verbs.Add(spec);
  }
  verbs.Connect({"c"}, {"d"});
  auto c = fake::OpenDevice(verbs, "c"), d = fake::OpenDevice(verbs, "d");
  auto sender = DirectSendLane::Make(c, std::chrono::seconds(10)).value();
  auto receiver = DirectRecvLane::Make(d, sender->offer(), {}, std::chrono::seconds(10)).value();
  ASSERT_TRUE(sender->Connect(receiver->offer()));
  Registered from(*c, 10000), to(*d, 10000);
  Fill(from.bytes, 2);
  ASSERT_TRUE(*receiver->Announce(to.buffer(10000)) && receiver->Ring());
  ASSERT_TRUE(*sender->CapacityOf(0));
  const auto before = verbs.traffic();
  ASSERT_TRUE(*sender->Start(from.buffer(10000)) && sender->Ring());
  EXPECT_EQ(verbs.traffic().writes - before.writes, 3U);
  EXPECT_EQ(verbs.traffic().send_chains - before.send_chains, 1U);
  EXPECT_EQ(*receiver->NextWhole(), 10000U);
  EXPECT_EQ(to.bytes, from.bytes);
  EXPECT_EQ(*sender->Whole(), 1U);
}

TEST(DirectLane, NothingIsAnnouncedBeyondWhatMayBeUnderWay) {
  DirectLanes lanes;
  Registered to(*lanes.b, 64);
  for (uint64_t i = 0; i < kLaneMessages; ++i) ASSERT_TRUE(*lanes.receiver->Announce(to.buffer(64)));
  EXPECT_FALSE(*lanes.receiver->Announce(to.buffer(64)));
}

TEST(DirectLane, AnEndThatIsGoneIsAnErrorWithASentence) {
  DirectLanes lanes;
  Registered from(*lanes.a, 64), to(*lanes.b, 64);
  ASSERT_TRUE(*lanes.receiver->Announce(to.buffer(64)) && lanes.receiver->Ring());
  ASSERT_TRUE(*lanes.sender->CapacityOf(0));
  lanes.receiver.reset();
  ASSERT_TRUE(*lanes.sender->Start(from.buffer(64)));
  Status rung = lanes.sender->Ring();
  lanes.verbs.StepUntilIdle();
  auto whole = lanes.sender->Whole();
  ASSERT_FALSE(whole);
  EXPECT_EQ(whole.error().code, ErrorCode::kRemote);
  EXPECT_THAT(whole.error().what, HasSubstr("a"));
}

TEST(DirectLane, AReceiveWhoseMemoryIsGoneTakesNothing) {
  DirectLanes lanes;
  Registered from(*lanes.a, 64);
  auto to = std::make_unique<Registered>(*lanes.b, 64);
  ASSERT_TRUE(*lanes.receiver->Announce(to->buffer(64)) && lanes.receiver->Ring());
  ASSERT_TRUE(*lanes.sender->CapacityOf(0));
  to->memory.reset();
  const auto before = to->bytes;
  Fill(from.bytes, 3);
  ASSERT_TRUE(*lanes.sender->Start(from.buffer(64)));
  (void)lanes.sender->Ring();
  lanes.verbs.StepUntilIdle();
  EXPECT_FALSE(lanes.sender->Whole());
  EXPECT_EQ(to->bytes, before);
}

TEST(DirectLane, LeavesNothingBehind) {
  fake::FakeVerbs* verbs = nullptr;
  {
    DirectLanes lanes;
    verbs = &lanes.verbs;
    lanes.sender.reset();
    lanes.receiver.reset();
    lanes.a.reset();
    lanes.b.reset();
    EXPECT_EQ(verbs->Leaks(), "");
  }
}

// A device writes an entry in any order of its bytes: it is believed when it is whole, and as a whole.
TEST(CtsRing, AnEntryIsBelievedOnlyWhenAllOfItIsThere) {
  const CtsEntry entry{0x7f0012345678, 1 << 20, {0xabcd, 0xabcd, 0x1abcd, 0x1abcd}};
  const CtsBytes bytes = EncodeCts(entry, 41);
  for (uint32_t mask = 0; mask < 4096; ++mask) {  // which of 12 words of 4 bytes have been written
    alignas(8) CtsBytes slot = EncodeCts({0x1111, 1 << 20, {0xabcc, 0xabcc, 0x1abcc, 0x1abcc}}, 9);
    for (size_t word = 0; word < 12; ++word) {
      if ((mask >> word & 1) != 0) std::memcpy(&slot[word * 4], &bytes[word * 4], 4);
    }
    const auto read = ReadCts(slot.data(), 41);
    const bool whole = slot == bytes;
    ASSERT_EQ(read.has_value(), whole) << mask;
    if (read) {
      EXPECT_EQ(read->address, entry.address);
      EXPECT_EQ(read->keys, entry.keys);
      EXPECT_EQ(read->capacity, entry.capacity);
    }
  }
}

TEST(CtsRing, AnEntryIsTheseBytes) {
  const CtsBytes bytes = EncodeCts({0x1122334455667788, 0x00400000, {0x0a0b0c0d, 1, 2, 0xffffffff}}, 6);
  const uint8_t golden[kCtsEntryBytes] = {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00, 0x00, 0x40, 0x00,
                                          0x00, 0x00, 0x00, 0x00, 0x0d, 0x0c, 0x0b, 0x0a, 0x01, 0x00, 0x00, 0x00,
                                          0x02, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xf5, 0x64, 0xee, 0x8d,
                                          0x8b, 0x68, 0x44, 0x54, 0x07, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
  for (size_t i = 0; i < kCtsEntryBytes; ++i) EXPECT_EQ(bytes[i], std::byte{golden[i]}) << i;
}

RC_GTEST_PROP(HopOffer, AnyBytesAreAnOfferOrAnError, ()) {
  const auto bytes = *rc::gen::container<std::vector<uint8_t>>(rc::gen::arbitrary<uint8_t>());
  (void)DecodeHopOffer(std::as_bytes(std::span(bytes)));
  (void)DecodeLaneOffer(std::as_bytes(std::span(bytes)));
}

TEST(HopOffer, ComesBackAsItWasAndNotInPart) {
  DirectLanes lanes;
  const HopOffer offer = lanes.sender->offer();
  const auto bytes = EncodeHopOffer(offer);
  ASSERT_LE(bytes.size(), kMaxHopOfferBytes);
  const auto back = DecodeHopOffer(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(EncodeHopOffer(*back), bytes);
  EXPECT_EQ(back->window.address, offer.window.address);
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(DecodeHopOffer(std::span(bytes).first(n))) << n;
  auto more = bytes;
  more.push_back(std::byte{0});
  EXPECT_FALSE(DecodeHopOffer(more));
}

}  // namespace
}  // namespace relay::transport::rdma::direct_lane
