// What the fake device moves, and what it refuses to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <thread>

#include "fake/verbs/line.h"

namespace relay::transport::rdma {
namespace {

using fake::FakeVerbs;
using fake::Line;
using fake::PollAll;
using fake::PollError;
using testing::HasSubstr;

TEST(FakeVerbs, ABadKeyIsRefusedAndFailsBothQueuePairs) {
  struct Case {
    const char* what;
    std::function<Remote(Line&)> to;
  };
  const Case cases[] = {
      {"no such key",
       [](Line& l) {
         return Remote{l.far.remote().address, 0x7777};
       }},
      {"the local key",
       [](Line& l) {
         return Remote{l.far.remote().address, l.far.memory->local_key()};
       }},
      {"the requester's own",
       [](Line& l) {
         return Remote{l.near.remote().address, l.near.memory->remote_key()};
       }},
      {"before it",
       [](Line& l) {
         return Remote{l.far.memory->address() - 1, l.far.memory->remote_key()};
       }},
      {"across its end",
       [](Line& l) {
         return Remote{l.far.memory->address() + l.far.memory->size() - 7, l.far.memory->remote_key()};
       }},
      {"wrapped", [](Line& l) {
         return Remote{UINT64_MAX - 3, l.far.memory->remote_key()};
       }}};
  for (const auto& [what, to] : cases) {
    Line line;
    const auto before = line.far.bytes;
    line.b.pair->Receive({}, 1);
    ASSERT_TRUE(line.b.pair->Ring());
    const Piece piece = line.near.piece(0, 8);
    line.a.pair->Write({&piece, 1}, to(line), 1, {});
    ASSERT_TRUE(line.a.pair->Ring());
    EXPECT_THAT(PollError(*line.a.pair).what, HasSubstr("remote access error")) << what;
    EXPECT_EQ(line.fake.state(line.a.number()), IBV_QPS_ERR) << what;
    EXPECT_EQ(line.fake.state(line.b.number()), IBV_QPS_ERR) << what;
    EXPECT_THAT(PollError(*line.b.pair).what, HasSubstr("Flushed")) << what;
    line.b.device->TakeEvents();
    EXPECT_THAT(line.b.pair->trouble()->what, HasSubstr("local access violation")) << what;
    EXPECT_EQ(line.far.bytes, before) << what;
  }
}

TEST(FakeVerbs, MemoryThatIsNoLongerRegisteredIsNotTouched) {
  Line line;
  const Remote old = line.far.remote();
  const auto before = line.far.bytes;
  line.far.memory.reset();
  const Piece piece = line.near.piece(0, 8);
  line.a.pair->Write({&piece, 1}, old, 1, {});
  ASSERT_TRUE(line.a.pair->Ring());
  EXPECT_THAT(PollError(*line.a.pair).what, HasSubstr("remote access error"));
  EXPECT_EQ(line.far.bytes, before);
  EXPECT_EQ(line.fake.traffic().after_deregistration, 1u) << "and whoever tried is found out";
}

TEST(FakeVerbs, ADeviceThatHasDiedMovesAndReportsNothing) {
  for (const bool unplugged : {false, true}) {
    Line line;
    unplugged ? line.fake.Unplug("b0") : line.fake.RaisePortEvent({"b0"}, IBV_EVENT_DEVICE_FATAL);
    const auto before = line.far.bytes;
    const Piece piece = line.far.piece(0, 8);
    line.b.pair->Write({&piece, 1}, line.near.remote(), 1, {});
    line.b.pair->Receive({}, 2);
    ASSERT_TRUE(line.b.pair->Ring());
    EXPECT_TRUE(PollAll(*line.b.pair).empty());
    line.Write(8, 1);
    ASSERT_TRUE(line.a.pair->Ring());
    EXPECT_THAT(PollError(*line.a.pair).what, HasSubstr("transport retry counter exceeded"));
    EXPECT_EQ(line.far.bytes, before);
    std::vector<std::byte> more(64);
    EXPECT_FALSE(line.b.device->Register(more.data(), more.size()));
  }
}

TEST(FakeVerbs, ACompletionQueueThatHasFailedGivesNothing) {
  Line line;
  line.b.pair->Receive({}, 1);
  ASSERT_TRUE(line.b.pair->Ring());
  line.fake.RaisePairEvent(line.b.number(), IBV_EVENT_CQ_ERR);
  EXPECT_TRUE(PollAll(*line.b.pair).empty());
  line.Write(8, 1, {.immediate = 8});
  ASSERT_TRUE(line.a.pair->Ring());
  EXPECT_THAT(PollError(*line.a.pair).what, HasSubstr("transport retry counter exceeded"));
}

TEST(FakeVerbs, OnesOwnMemoryMustBeRegisteredToo) {
  Line line;
  Piece piece = line.near.piece(0, 8);
  line.near.memory.reset();
  line.a.pair->Write({&piece, 1}, line.far.remote(), 1, {});
  ASSERT_TRUE(line.a.pair->Ring());
  EXPECT_THAT(PollError(*line.a.pair).what, HasSubstr("local protection error"));
  EXPECT_EQ(line.fake.state(line.b.number()), IBV_QPS_RTS) << "nothing left this side";
}

TEST(FakeVerbs, ASendThatIsLargerThanItsReceiveFailsBoth) {
  Line line;
  const Piece small = line.far.piece(0, 4), large = line.near.piece(0, 8);
  line.b.pair->Receive({&small, 1}, 1);
  ASSERT_TRUE(line.b.pair->Ring());
  line.a.pair->Send({&large, 1}, 1, {});
  ASSERT_TRUE(line.a.pair->Ring());
  EXPECT_THAT(PollError(*line.a.pair).what, HasSubstr("remote invalid request"));
  EXPECT_THAT(PollError(*line.b.pair).what, HasSubstr("local length error"));
}

TEST(FakeVerbs, AMessageAboveThePortsLimitFails) {
  FakeVerbs fake;
  fake::PortSpec port = fake::RocePort("10.0.0.1");
  port.max_message = 16;
  fake.Add({.name = "a0", .ports = {port}});
  fake::End a = fake::OpenEnd(fake, "a0");
  ASSERT_TRUE(fake::Join(a, a));
  auto buffer = fake::MakeBuffer(*a.device, 64);
  const Piece piece = buffer.piece(0, 17);
  a.pair->Write({&piece, 1}, buffer.remote(32), 1, {});
  ASSERT_TRUE(a.pair->Ring());
  EXPECT_THAT(PollError(*a.pair).what, HasSubstr("local length error"));
}

TEST(FakeVerbs, NoReceiveIsReceiverNotReady) {
  Line line;
  line.Write(8, 1, {.immediate = 1});
  ASSERT_TRUE(line.a.pair->Ring());
  EXPECT_EQ(line.fake.traffic().receiver_not_ready, 1u);
  EXPECT_THAT(PollError(*line.a.pair).what, HasSubstr("RNR retry counter exceeded"));
}

TEST(FakeVerbs, ACutCableIsSilence) {
  Line line;
  line.fake.Cut({"b0"});
  line.Write(8, 1);
  line.Write(8, 2);
  ASSERT_TRUE(line.a.pair->Ring());
  EXPECT_THAT(PollError(*line.a.pair).what, HasSubstr("transport retry counter exceeded"));
  EXPECT_FALSE(line.Same(8));
  EXPECT_EQ(line.fake.state(line.b.number()), IBV_QPS_RTS) << "the other side hears nothing of it";
  EXPECT_EQ(line.fake.traffic().completions, 2u) << "the second is flushed";
}

TEST(FakeVerbs, ACableThatIsMendedInTimeLosesNothing) {
  Line line(FakeVerbs::Pump::kManual);
  line.fake.SetPatience(3);
  line.fake.Cut({"a0"});
  line.Write(8, 1);
  ASSERT_TRUE(line.a.pair->Ring());
  EXPECT_EQ(line.fake.Step(), 0u);
  EXPECT_EQ(line.fake.Step(), 0u);
  line.fake.Mend({"a0"});
  EXPECT_EQ(line.fake.Step(), 1u);
  EXPECT_TRUE(line.Same(8));
  EXPECT_EQ(PollAll(*line.a.pair).size(), 1u);
}

TEST(FakeVerbs, WhatLeavesBeforeTheOtherSideIsReadyWaitsForIt) {
  FakeVerbs fake;
  fake.AddLink("a0", "b0");
  fake::End a = fake::OpenEnd(fake, "a0"), b = fake::OpenEnd(fake, "b0");
  const auto offer = a.pair->near(), answer = b.pair->near();
  const auto gids = ChooseGids(answer, offer, {}, {});
  ASSERT_TRUE(b.pair->Connect(offer, *gids));
  b.pair->Write({}, {}, 1, {});
  ASSERT_TRUE(b.pair->Ring());
  EXPECT_TRUE(PollAll(*b.pair).empty());
  ASSERT_TRUE(a.pair->Connect(answer, {gids->far, gids->near}));
  EXPECT_EQ(PollAll(*b.pair).size(), 1u);
}

TEST(FakeVerbs, OnlyWhoIsMeantAndAtTheRightPlaceIsReached) {
  const std::vector<std::pair<const char*, std::function<void(Endpoint&)>>> changes = {
      {"another queue pair", [](Endpoint& e) { e.queue_pair += 1000; }},
      {"another first packet", [](Endpoint& e) { e.first_packet ^= 1; }},
      {"another address", [](Endpoint& e) {
         for (Gid& gid : e.gids) gid.bytes[15] = std::byte{99};
       }}};
  for (const auto& [what, change] : changes) {
    FakeVerbs fake;
    fake.AddLink("a0", "b0");
    fake::End a = fake::OpenEnd(fake, "a0"), b = fake::OpenEnd(fake, "b0");
    Endpoint offer = a.pair->near();
    const Endpoint answer = b.pair->near();
    ASSERT_TRUE(a.pair->Connect(answer, {1, 1}));
    change(offer);
    ASSERT_TRUE(b.pair->Connect(offer, {1, 1}));
    a.pair->Write({}, {}, 1, {});
    ASSERT_TRUE(a.pair->Ring());
    EXPECT_THAT(PollError(*a.pair).what, HasSubstr("transport retry counter exceeded")) << what;
  }
}

TEST(FakeVerbs, PortsWithoutACableBetweenThemDoNotReachEachOther) {
  FakeVerbs fake;
  fake.AddLink("a0", "b0");
  fake.AddLink("b1", "c0");
  fake::End a = fake::OpenEnd(fake, "a0"), c = fake::OpenEnd(fake, "c0");
  Endpoint offer = a.pair->near(), answer = c.pair->near();
  ASSERT_TRUE(a.pair->Connect(answer, {0, 0}));
  ASSERT_TRUE(c.pair->Connect(offer, {0, 0}));
  a.pair->Write({}, {}, 1, {});
  ASSERT_TRUE(a.pair->Ring());
  EXPECT_THAT(PollError(*a.pair).what, HasSubstr("transport retry counter exceeded"));
}

TEST(FakeVerbs, AQueuePairMayBeItsOwnPeer) {
  FakeVerbs fake;
  fake.AddLink("a0", "b0");
  fake::End a = fake::OpenEnd(fake, "a0");
  ASSERT_TRUE(fake::Join(a, a));
  auto buffer = fake::MakeBuffer(*a.device, 64, 5);
  a.pair->Read(buffer.piece(0, 1), buffer.remote(9), 1);
  ASSERT_TRUE(a.pair->Ring());
  EXPECT_EQ(PollAll(*a.pair).size(), 1u);
  EXPECT_EQ(buffer.bytes[0], buffer.bytes[9]);
}

TEST(FakeVerbs, AnInjectedReceiveErrorFailsTheReceiverAndTellsTheSender) {
  Line line;
  line.fake.FailNext(line.b.number(), IBV_WC_LOC_PROT_ERR, true);
  line.b.pair->Receive({}, 1);
  ASSERT_TRUE(line.b.pair->Ring());
  line.Write(8, 1, {.immediate = 1});
  ASSERT_TRUE(line.a.pair->Ring());
  EXPECT_THAT(PollError(*line.b.pair).what, HasSubstr("local protection error"));
  EXPECT_THAT(PollError(*line.a.pair).what, HasSubstr("remote operation error"));
}

TEST(FakeVerbs, StepsAreOneWorkRequestOfEachQueuePair) {
  Line line(FakeVerbs::Pump::kManual);
  for (uint64_t i = 0; i < 3; ++i) line.Write(8, i);
  line.b.pair->Write({}, {}, 9, {});
  ASSERT_TRUE(line.a.pair->Ring());
  ASSERT_TRUE(line.b.pair->Ring());
  EXPECT_EQ(line.fake.Step(), 2u);
  EXPECT_EQ(line.fake.Step(), 1u);
  EXPECT_EQ(PollAll(*line.a.pair).size(), 2u);
  line.fake.StepUntilIdle();
  EXPECT_EQ(line.fake.Step(), 0u);
  EXPECT_EQ(line.fake.traffic().writes, 4u);
}

// What a CPU polls without a completion is written in whole words, in order.
TEST(FakeVerbs, PolledMemoryIsWrittenAsADeviceWritesIt) {
  Line line;
  auto* const words =
      reinterpret_cast<uint64_t*>(line.far.bytes.data() + 8 - reinterpret_cast<uintptr_t>(line.far.bytes.data()) % 8);
  const auto offset = static_cast<size_t>(reinterpret_cast<std::byte*>(words) - line.far.bytes.data());
  std::atomic<bool> ordered{true};
  std::thread polling([&] {
    for (uint64_t seen = 0; seen < 200;) {
      const uint64_t last = __atomic_load_n(&words[7], __ATOMIC_ACQUIRE);
      const uint64_t first = __atomic_load_n(&words[0], __ATOMIC_RELAXED);
      if (first < last) ordered = false;
      seen = last;
    }
  });
  auto news = fake::MakeBuffer(*line.a.device, 64);
  for (uint64_t i = 1; i <= 200; ++i) {
    for (size_t word = 0; word < 8; ++word) memcpy(news.bytes.data() + word * 8, &i, 8);
    const Piece piece = news.piece(0, 64);
    line.a.pair->Write({&piece, 1}, line.far.remote(offset), i, {});
    ASSERT_TRUE(line.a.pair->Ring());
    ASSERT_EQ(PollAll(*line.a.pair).size(), 1u);
  }
  polling.join();
  EXPECT_TRUE(ordered);
}

}  // namespace
}  // namespace relay::transport::rdma
