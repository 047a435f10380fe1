// Direct lanes over devices made of code: what arrives, what it costs, and what ends it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fake/lane_pair.h"

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
  for (uint64_t i = 0; i < kMaxRequests; ++i) ASSERT_TRUE(*lanes.receiver->Announce(to.buffer(64)));
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

}  // namespace
}  // namespace relay::transport::rdma::direct_lane
