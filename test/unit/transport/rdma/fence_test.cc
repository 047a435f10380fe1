// The fence of receiving lanes: what was whole is still told, what comes later is not placed, and it always ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "fake/striped_pair.h"
#include "transport/rdma/relayed_recv_lane.h"

namespace relay::transport::rdma::fence {
namespace {

using fake::DirectLanes;
using fake::FakeVerbs;
using fake::Registered;
using fake::RegisteredOnAll;
using fake::StripedLanes;
using testing::HasSubstr;

constexpr Duration kTimeout = std::chrono::seconds(10);

std::vector<uint64_t> AllWhole(RecvLane& lane) {
  std::vector<uint64_t> out;
  while (true) {
    auto size = lane.NextWhole();
    EXPECT_TRUE(size) << size.error().what;
    if (!size || !*size) return out;
    out.push_back(**size);
  }
}

Duration TimeOf(const std::function<void()>& what) {
  const TimePoint begin = SystemClock().Now();
  what();
  return SystemClock().Now() - begin;
}

// A lane of one link with `count` receives posted, each of which the sender may write to.
struct OneLink : DirectLanes {
  explicit OneLink(size_t count, FakeVerbs::Pump how = FakeVerbs::Pump::kPerPost) : DirectLanes(how) {
    for (size_t i = 0; i < count; ++i) {
      to.push_back(std::make_unique<Registered>(*b, 4096));
      from.push_back(std::make_unique<Registered>(*a, 4096));
      std::memset(from.back()->bytes.data(), static_cast<int>(i + 1), 4096);
      EXPECT_TRUE(*receiver->Announce(to.back()->buffer(4096)));
    }
    EXPECT_TRUE(receiver->Ring());
    verbs.StepUntilIdle();
  }

  void Send(size_t message, size_t bytes) {
    EXPECT_EQ(*sender->CapacityOf(message), 4096u);
    EXPECT_TRUE(*sender->Start(from[message]->buffer(bytes)) && sender->Ring());
  }
  bool Arrived(size_t message) const { return to[message]->bytes == from[message]->bytes; }

  std::vector<std::unique_ptr<Registered>> from, to;
};

TEST(Fence, WhatWasWholeAndNotYetToldIsToldAfterwards) {
  OneLink lanes(3);
  lanes.Send(0, 100);
  lanes.Send(1, 0);
  ASSERT_TRUE(lanes.receiver->Fence());
  EXPECT_EQ(AllWhole(*lanes.receiver), (std::vector<uint64_t>{100, 0}));
  EXPECT_EQ(AllWhole(*lanes.receiver), std::vector<uint64_t>()) << "each once";
}

TEST(Fence, WhatComesLaterIsNotPlaced) {
  OneLink lanes(2, FakeVerbs::Pump::kManual);
  lanes.Send(0, 4096);
  lanes.verbs.StepUntilIdle();
  lanes.Send(1, 4096);  // still with the sender's device
  ASSERT_TRUE(lanes.receiver->Fence());
  lanes.verbs.StepUntilIdle();
  EXPECT_TRUE(lanes.Arrived(0));
  EXPECT_FALSE(lanes.Arrived(1));
  EXPECT_EQ(lanes.to[1]->bytes, std::vector<std::byte>(4096));
  EXPECT_EQ(AllWhole(*lanes.receiver), std::vector<uint64_t>{4096});
  EXPECT_EQ(*lanes.sender->Whole(), 1u);
  EXPECT_FALSE(lanes.sender->Whole()) << "the sender knows that the other did not arrive";
}

TEST(Fence, ASenderThatIsGoneReadsNothingAnyMore) {
  OneLink lanes(1, FakeVerbs::Pump::kManual);
  lanes.Send(0, 4096);
  lanes.sender.reset();
  lanes.verbs.StepUntilIdle();
  EXPECT_FALSE(lanes.Arrived(0));
}

TEST(Fence, NoQueuePairOfTheLaneIsLeft) {
  OneLink lanes(1);
  const auto before = lanes.verbs.queue_pairs("b").size();
  ASSERT_TRUE(lanes.receiver->Fence());
  EXPECT_EQ(before, 1u);
  EXPECT_EQ(lanes.verbs.queue_pairs("b").size(), 0u);
  EXPECT_TRUE(lanes.receiver->Fence()) << "again";
}

// The lane may have failed before: the news of a posted receive, say, has found no way.
TEST(Fence, WhatCameBeforeABadCompletionCounts) {
  OneLink lanes(2);
  lanes.Send(0, 7);
  Registered more(*lanes.b, 64);
  ASSERT_TRUE(*lanes.receiver->Announce(more.buffer(64)));
  lanes.verbs.Cut({"a"});
  ASSERT_TRUE(lanes.receiver->Ring());
  lanes.Send(1, 8);  // does not arrive
  ASSERT_TRUE(lanes.receiver->Fence());
  EXPECT_EQ(AllWhole(*lanes.receiver), std::vector<uint64_t>{7});
}

// One look at the completion queue takes a bad completion and what stands behind it.
TEST(Fence, WhatWasReadWithABadCompletionIsNotLost) {
  OneLink lanes(2);
  // As a device may: its two halves end apart, and the failed send is told of before a receive that went well.
  lanes.verbs.TellOfFailedSend(lanes.verbs.queue_pairs("b").front(), IBV_WC_RETRY_EXC_ERR);
  lanes.Send(0, 9);
  EXPECT_FALSE(lanes.receiver->NextWhole());
  ASSERT_TRUE(lanes.receiver->Fence());
  EXPECT_EQ(AllWhole(*lanes.receiver), std::vector<uint64_t>{9});
}

TEST(Fence, WhatTheDeviceTellsLateCounts) {
  OneLink lanes(2);
  lanes.Send(0, 100);
  std::vector<ibv_wc> late;
  int looks = 0;
  lanes.verbs.SetOnPoll([&](std::span<ibv_wc> room, int count) {
    late.insert(late.end(), room.begin(), room.begin() + count);
    if (++looks <= 5) return 0;
    const auto told = std::min(late.size(), room.size());
    std::copy_n(late.begin(), told, room.begin());
    late.erase(late.begin(), late.begin() + static_cast<long>(told));
    return static_cast<int>(told);
  });
  ASSERT_TRUE(lanes.receiver->Fence());
  EXPECT_EQ(AllWhole(*lanes.receiver), std::vector<uint64_t>{100});
}

// Receives are done in order: whatever came behind one that failed was placed, and cannot be told of.
TEST(Fence, WhatComesBehindAReceiveThatFailedDoesNotCount) {
  OneLink lanes(2);
  lanes.Send(0, 100);
  lanes.Send(1, 200);
  bool first = true;
  lanes.verbs.SetOnPoll([&first](std::span<ibv_wc> room, int count) {
    if (count > 0 && std::exchange(first, false)) room[0].status = IBV_WC_LOC_PROT_ERR;
    return count;
  });
  ASSERT_TRUE(lanes.receiver->Fence());
  EXPECT_EQ(AllWhole(*lanes.receiver), std::vector<uint64_t>());
}

TEST(Fence, AMessageOfWhichAPartIsMissingIsNotWhole) {
  for (const char* slow : {"a0", "a1"}) {
    StripedLanes lanes(2);
    lanes.Connect();
    RegisteredOnAll from(lanes.a, 1 << 20), to(lanes.b, 1 << 20);
    lanes.verbs.Hold(slow, true);
    ASSERT_TRUE(*lanes.receiver->Announce(to.buffer(1 << 20)) && lanes.receiver->Ring());
    ASSERT_TRUE(*lanes.sender->CapacityOf(0));
    ASSERT_TRUE(*lanes.sender->Start(from.buffer(1 << 20)) && lanes.sender->Ring());
    ASSERT_TRUE(lanes.receiver->Fence());
    EXPECT_EQ(AllWhole(*lanes.receiver), std::vector<uint64_t>()) << slow;
  }
}

TEST(Fence, AMessageBehindOneThatIsNotWholeIsNotWholeEither) {
  StripedLanes lanes(2);
  lanes.Connect();
  RegisteredOnAll from(lanes.a, 100), to(lanes.b, 100);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(*lanes.receiver->Announce(to.buffer(100)));
  ASSERT_TRUE(lanes.receiver->Ring());
  for (const uint64_t message : {0, 1, 2}) {
    lanes.verbs.Hold("a1", message != 0);  // what 1 goes over; 0 and 2 go over the other link
    ASSERT_TRUE(*lanes.sender->CapacityOf(message));
    ASSERT_TRUE(*lanes.sender->Start(from.buffer(10 + message)) && lanes.sender->Ring());
  }
  ASSERT_TRUE(lanes.receiver->Fence());
  EXPECT_EQ(AllWhole(*lanes.receiver), std::vector<uint64_t>{10}) << "2 came, 1 did not";
}

// --- Ends in bounded time

// Its own deadline is for a device that does neither. The least of some times, for this machine's moods.
TEST(Fence, ADeviceThatFlushesOrIsKnownToBeDeadIsNotWaitedFor) {
  for (const bool dead : {false, true}) {
    Duration least = std::chrono::hours(1);
    for (int i = 0; i < 5; ++i) {
      OneLink lanes(2);
      if (dead) lanes.verbs.RaisePortEvent({"b"}, IBV_EVENT_DEVICE_FATAL);
      least = std::min(least, TimeOf([&] { EXPECT_TRUE(lanes.receiver->Fence()); }));
    }
    EXPECT_LT(least, std::chrono::milliseconds(300)) << dead;
  }
}

TEST(Fence, ADeadDeviceHasAnEndToo) {
  for (const char* death : {"fatal", "unplugged", "silent queue", "unreadable queue"}) {
    OneLink lanes(2);
    lanes.Send(0, 5);
    const std::string how = death;
    if (how == "fatal") lanes.verbs.RaisePortEvent({"b"}, IBV_EVENT_DEVICE_FATAL);
    if (how == "unplugged") lanes.verbs.Unplug("b");
    if (how == "silent queue") lanes.verbs.RaisePairEvent(lanes.verbs.queue_pairs("b").front(), IBV_EVENT_CQ_ERR);
    if (how == "unreadable queue") lanes.verbs.FailCall("poll_cq", EIO, 1, 1000000);
    const Duration took = TimeOf([&] { EXPECT_TRUE(lanes.receiver->Fence()) << death; });
    EXPECT_LT(took, std::chrono::seconds(5)) << death;  // a second, and this machine's moods
    (void)AllWhole(*lanes.receiver);
  }
}

TEST(Fence, ADeviceThatKeepsItsQueuePairIsAnError) {
  OneLink lanes(1);
  lanes.Send(0, 5);
  lanes.verbs.FailCall("destroy_qp", EBUSY);
  const Status fenced = lanes.receiver->Fence();
  ASSERT_FALSE(fenced);
  EXPECT_EQ(fenced.error().code, ErrorCode::kSystem);
  EXPECT_THAT(fenced.error().what, AllOf(HasSubstr("b port 1 keeps a queue pair"), HasSubstr("may still write")));
  EXPECT_EQ(AllWhole(*lanes.receiver), std::vector<uint64_t>{5}) << "it is told nonetheless";
  lanes.receiver.reset();
  EXPECT_EQ(lanes.verbs.queue_pairs("b").size(), 0u) << "it is asked again";
}

// --- Through relays: the hop of the last one

struct LastHop {
  explicit LastHop(FakeVerbs::Pump pump = FakeVerbs::Pump::kPerPost) : verbs(pump) {
    verbs.AddLink("n", "f");
    near = fake::OpenDevice(verbs, "n");
    far = fake::OpenDevice(verbs, "f");
    relay = PacketChannel::Make(near, {.slots = 64, .sends = 128, .hop_timeout = kTimeout}).value();
    auto made = RelayedRecvLane::Make(far, relay->offer(), {}, kTimeout);
    EXPECT_TRUE(made) << made.error().what;
    receiver = std::move(*made);
    EXPECT_TRUE(relay->Connect(receiver->offer()));
    bytes = std::make_unique<Registered>(*near, 4096);
    std::memset(bytes->bytes.data(), 0x5a, 4096);
  }
  void Write(Registered& to, uint32_t size) {
    const Piece piece{bytes->bytes.data(), size, bytes->memory->local_key()};
    relay->Write(&piece, {reinterpret_cast<uint64_t>(to.bytes.data()), to.memory->remote_key()}, size, 1);
    EXPECT_TRUE(relay->Ring());
  }
  FakeVerbs verbs;
  std::shared_ptr<Device> near, far;
  std::unique_ptr<Registered> bytes;
  std::unique_ptr<PacketChannel> relay;
  std::unique_ptr<RelayedRecvLane> receiver;
};

TEST(Fence, OfARelayedLaneTellsWhatWasWhole) {
  for (const bool polled : {false, true}) {
    LastHop hop;
    Registered to(*hop.far, 4096);
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(*hop.receiver->Announce(to.buffer(4096)));
    ASSERT_TRUE(hop.receiver->Ring());
    for (const uint32_t size : {1u, 2u, 3u}) hop.Write(to, size);
    // One look takes all that is there, and hands out one.
    if (polled) {
      EXPECT_EQ(*hop.receiver->NextWhole(), 1u);
    }
    ASSERT_TRUE(hop.receiver->Fence());
    EXPECT_EQ(AllWhole(*hop.receiver), (polled ? std::vector<uint64_t>{2, 3} : std::vector<uint64_t>{1, 2, 3}));
    EXPECT_EQ(AllWhole(*hop.receiver), std::vector<uint64_t>());
    EXPECT_EQ(hop.verbs.queue_pairs("f").size(), 0u);
  }
}

TEST(Fence, OfARelayedLaneLetsNothingMoreIn) {
  LastHop hop(FakeVerbs::Pump::kManual);
  Registered to(*hop.far, 4096);
  ASSERT_TRUE(*hop.receiver->Announce(to.buffer(4096)) && hop.receiver->Ring());
  hop.verbs.StepUntilIdle();
  hop.Write(to, 4096);
  ASSERT_TRUE(hop.receiver->Fence());
  hop.verbs.StepUntilIdle();
  EXPECT_EQ(to.bytes, std::vector<std::byte>(4096));
  EXPECT_EQ(AllWhole(*hop.receiver), std::vector<uint64_t>());
}

// A relay may break the protocol at the last moment too.
TEST(Fence, MoreImmediatesThanWereAnnouncedAreAnError) {
  LastHop hop;
  Registered to(*hop.far, 64);
  ASSERT_TRUE(*hop.receiver->Announce(to.buffer(64)) && hop.receiver->Ring());
  hop.Write(to, 1);
  hop.Write(to, 2);  // into a receive that waits for credits
  ASSERT_TRUE(hop.receiver->Fence());
  EXPECT_EQ(*hop.receiver->NextWhole(), 1u);
  const auto beyond = hop.receiver->NextWhole();
  ASSERT_FALSE(beyond);
  EXPECT_THAT(beyond.error().what, HasSubstr("the last relay breaks the protocol"));
}

// --- Any moment

RC_GTEST_PROP(Fence, WholeIsThePrefixOfWhichAllBytesAreThere, ()) {
  const auto links = *rc::gen::inRange<size_t>(1, kMaxStripes + 1);
  StripedLanes lanes(links, FakeVerbs::Pump::kManual);
  lanes.Connect();
  const auto sizes = *rc::gen::container<std::vector<size_t>>(
      rc::gen::oneOf(rc::gen::inRange<size_t>(0, 300), rc::gen::inRange<size_t>(kSplitBytes, kSplitBytes + 999)));
  const size_t count = std::min<size_t>(sizes.size(), kMaxRequests);
  std::vector<std::unique_ptr<RegisteredOnAll>> from, to;
  for (size_t i = 0; i < count; ++i) {
    from.push_back(std::make_unique<RegisteredOnAll>(lanes.a, sizes[i]));
    to.push_back(std::make_unique<RegisteredOnAll>(lanes.b, sizes[i]));
    std::fill_n(from[i]->bytes.begin(), sizes[i], std::byte{0x77});
    RC_ASSERT(*lanes.receiver->Announce(to[i]->buffer(sizes[i])));
  }
  RC_ASSERT(lanes.receiver->Ring().has_value());
  lanes.verbs.StepUntilIdle();
  for (size_t i = 0; i < count; ++i) {
    RC_ASSERT(*lanes.sender->CapacityOf(i) == sizes[i]);
    RC_ASSERT(*lanes.sender->Start(from[i]->buffer(sizes[i])));
  }
  RC_ASSERT(lanes.sender->Ring().has_value());
  const auto pairs = lanes.verbs.queue_pairs();
  const auto steps = *rc::gen::container<std::vector<size_t>>(rc::gen::inRange<size_t>(0, pairs.size()));
  std::vector<uint64_t> told;
  for (const size_t step : steps) {
    lanes.verbs.StepPair(pairs[step]);
    if (step != 0) continue;
    const auto now = AllWhole(*lanes.receiver);
    told.insert(told.end(), now.begin(), now.end());
  }
  std::vector<std::vector<std::byte>> placed;
  for (const auto& memory : to) placed.push_back(memory->bytes);
  RC_ASSERT(lanes.receiver->Fence().has_value());
  const auto last = AllWhole(*lanes.receiver);
  told.insert(told.end(), last.begin(), last.end());
  RC_ASSERT(told.size() <= count);
  for (size_t i = 0; i < told.size(); ++i) {
    RC_ASSERT(told[i] == sizes[i]);
    RC_ASSERT(to[i]->bytes == from[i]->bytes);
  }
  // The first that is not told of lacks a byte, or is empty and has not come.
  if (told.size() < count && sizes[told.size()] > 0) RC_ASSERT(placed[told.size()] != from[told.size()]->bytes);
  lanes.verbs.StepUntilIdle();
  for (size_t i = 0; i < count; ++i) RC_ASSERT(to[i]->bytes == placed[i]);
}

}  // namespace
}  // namespace relay::transport::rdma::fence
