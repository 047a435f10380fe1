#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <array>
#include <cstring>
#include <set>

#include "fake/verbs/line.h"

namespace relay::transport::rdma {
namespace {

using fake::ChannelReadable;
using fake::FakeVerbs;
using fake::Line;
using fake::PollAll;
using testing::HasSubstr;

// --- Creating and connecting

TEST(RdmaQueuePair, ConnectedItIsReadyToSendWithWhatBothEndsHave) {
  FakeVerbs fake;
  fake::PortSpec small = fake::RocePort("10.0.0.2");
  small.mtu = 1024;
  fake.Add({.name = "a0", .ports = {fake::RocePort("10.0.0.1")}});
  fake.Add({.name = "b0", .ports = {small}});
  fake.Connect({"a0"}, {"b0"});
  fake::End a = fake::OpenEnd(fake, "a0"), b = fake::OpenEnd(fake, "b0");
  EXPECT_EQ(fake.state(a.number()), IBV_QPS_INIT);
  ASSERT_TRUE(fake::Join(a, b));
  const ibv_qp_attr at = fake.attributes(a.number());
  EXPECT_EQ(at.qp_state, IBV_QPS_RTS);
  EXPECT_EQ(at.path_mtu, IBV_MTU_1024);
  EXPECT_EQ(at.dest_qp_num, b.number());
  EXPECT_EQ(at.ah_attr.is_global, 1);
  EXPECT_EQ(at.ah_attr.grh.sgid_index, 3) << "the table's index, not the list's position";
  EXPECT_EQ(at.ah_attr.grh.dgid.raw[15], 2);
  EXPECT_EQ(at.rq_psn, fake.attributes(b.number()).sq_psn);
  EXPECT_EQ(at.sq_psn, fake.attributes(b.number()).rq_psn);
  EXPECT_EQ(at.rnr_retry, 0);
  EXPECT_EQ(at.retry_cnt, 6) << "7 is for ever on soft-RoCE";
}

TEST(RdmaQueuePair, FirstPacketNumbersAreDrawnAndStay) {
  Line line;
  EXPECT_EQ(line.a.pair->near().first_packet, line.a.pair->near().first_packet);
  EXPECT_LE(line.a.pair->near().first_packet, 0xffffffu);
  std::set<uint32_t> drawn;
  for (int i = 0; i < 8; ++i) drawn.insert((*QueuePair::Create(line.a.device, {}))->near().first_packet);
  EXPECT_GT(drawn.size(), 4u);
}

TEST(RdmaQueuePair, SilenceIsBoundedByTheHopTimeout) {
  struct Case {
    Duration hop;
    int exponent;
  };
  // 7 tries of 4.096 us * 2^exponent are at most the hop timeout.
  for (const auto& [hop, exponent] : {Case{std::chrono::seconds(10), 18}, Case{std::chrono::seconds(1), 15},
                                      Case{std::chrono::milliseconds(1), 10}, Case{std::chrono::hours(1), 22}}) {
    Line line(FakeVerbs::Pump::kPerPost, {.hop_timeout = hop});
    EXPECT_EQ(line.fake.attributes(line.a.number()).timeout, exponent) << SecondsText(hop);
  }
}

TEST(RdmaQueuePair, InfinibandIsAddressedByItsLid) {
  for (const bool other_subnet : {false, true}) {
    FakeVerbs fake;
    auto port = [&](uint16_t lid, uint8_t subnet) {
      fake::PortSpec out{
          .infiniband = true, .lid = lid, .gids = {Gid{.bytes = {}, .index = 0, .type = GidType::kInfiniband}}};
      out.gids[0].bytes[0] = std::byte{0xfe};
      out.gids[0].bytes[7] = std::byte{subnet};
      out.gids[0].bytes[15] = std::byte(lid);
      return out;
    };
    fake.Add({.name = "a0", .ports = {port(4, 0)}});
    fake.Add({.name = "b0", .ports = {port(5, other_subnet)}});
    fake.Connect({"a0"}, {"b0"});
    fake::End a = fake::OpenEnd(fake, "a0"), b = fake::OpenEnd(fake, "b0");
    ASSERT_TRUE(fake::Join(a, b));
    const ibv_qp_attr at = fake.attributes(a.number());
    EXPECT_EQ(at.ah_attr.dlid, 5);
    EXPECT_EQ(at.ah_attr.is_global, other_subnet) << "the global header only where subnets differ";
    a.pair->Write({}, {}, 1, {});
    ASSERT_TRUE(a.pair->Ring());
    EXPECT_EQ(PollAll(*a.pair).size(), 1u);
  }
}

TEST(RdmaQueuePair, APortThatAsksForTheGlobalHeaderGetsIt) {
  FakeVerbs fake;
  fake::PortSpec port{.infiniband = true,
                      .lid = 4,
                      .gids = {Gid{.bytes = {}, .index = 0, .type = GidType::kInfiniband}},
                      .needs_global_header = true};
  port.gids[0].bytes[0] = std::byte{0xfe};
  fake.Add({.name = "a0", .ports = {port}});
  fake::End a = fake::OpenEnd(fake, "a0");
  EXPECT_TRUE(a.pair->Connect(a.pair->near(), {}));
}

TEST(RdmaQueuePair, WithoutASubnetManagerItSaysSo) {
  FakeVerbs fake;
  fake.Add({.name = "a0", .ports = {fake::PortSpec{.infiniband = true, .gids = {}}}});
  fake::End a = fake::OpenEnd(fake, "a0");
  EXPECT_THAT(a.pair->Connect(a.pair->near(), {}).error().what, HasSubstr("opensm"));
}

TEST(RdmaQueuePair, AFarEndOfAnotherLinkLayerOrWithoutTheAddressIsRefused) {
  FakeVerbs fake;
  fake.AddLink("a0", "b0");
  fake::End a = fake::OpenEnd(fake, "a0");
  Endpoint far = a.pair->near();
  EXPECT_FALSE(a.pair->Connect(far, {.near = 4, .far = 0}));
  EXPECT_FALSE(a.pair->Connect(far, {.near = 0, .far = 4}));
  far.infiniband = true;
  EXPECT_THAT(a.pair->Connect(far, {}).error().what, HasSubstr("different link layers"));
}

TEST(RdmaQueuePair, AnAddressThatNobodyAnswersIsTheRemoteEndsFault) {
  FakeVerbs fake;
  fake.AddLink("a0", "b0");
  fake::End a = fake::OpenEnd(fake, "a0"), b = fake::OpenEnd(fake, "b0");
  fake.FailCall("modify_qp", ETIMEDOUT);
  const auto joined = fake::Join(a, b);
  ASSERT_FALSE(joined);
  EXPECT_EQ(joined.error().code, ErrorCode::kRemote);
  EXPECT_THAT(joined.error().what, HasSubstr("b0 port 1 finds no way to queue pair 0x"));
  EXPECT_THAT(joined.error().what, HasSubstr("nobody answers at that address"));
}

TEST(RdmaQueuePair, ADownPortMakesNone) {
  FakeVerbs fake;
  fake.AddLink("a0", "b0");
  auto device = *Device::Open("a0", 1, &fake.table());
  fake.SetPort({"a0"}, false);
  EXPECT_THAT(QueuePair::Create(device, {}).error().what, HasSubstr("a0 port 1 is down"));
}

TEST(RdmaQueuePair, DepthsBeyondTheDevicesAreRefused) {
  FakeVerbs fake;
  fake.Add({.name = "a0", .ports = {fake::RocePort("10.0.0.1")}, .work_requests = 64, .pieces = 2, .completions = 100});
  auto device = *Device::Open("a0", 1, &fake.table());
  EXPECT_TRUE(QueuePair::Create(device, {.sends = 36, .receives = 64}));
  for (const Depths& depths : {Depths{.sends = 65, .receives = 1}, Depths{.sends = 1, .receives = 65},
                               Depths{.sends = 64, .receives = 64}, Depths{.sends = 1, .receives = 1, .pieces = 3}}) {
    EXPECT_THAT(QueuePair::Create(device, depths).error().what, HasSubstr("a0 takes 64 work requests of 2 pieces"));
  }
  EXPECT_EQ(fake.calls("create_qp"), 1u);
}

// From the devices to a message and back, as far as it goes.
Status LiveOnce(FakeVerbs& fake) {
  std::array<std::byte, 256> bytes{};
  fake::End a, b;
  auto near_device = Device::Open("a0", 1, &fake.table());
  RELAY_TRY(near_device);
  auto far_device = Device::Open("b0", 1, &fake.table());
  RELAY_TRY(far_device);
  a.device = *near_device, b.device = *far_device;
  auto memory = a.device->Register(bytes.data(), bytes.size());
  RELAY_TRY(memory);
  for (fake::End* end : {&a, &b}) {
    auto pair = QueuePair::Create(end->device, {});
    RELAY_TRY(pair);
    end->pair = std::move(*pair);
    end->pair->Receive({}, 1);
    RELAY_TRY(end->pair->Ring());
  }
  RELAY_TRY(fake::Join(a, b));
  RELAY_TRY(b.pair->Arm());
  const Piece piece{bytes.data(), 8, (*memory)->local_key()};
  a.pair->Send({}, 1, {});
  a.pair->Write({&piece, 0}, {}, 2, {});
  RELAY_TRY(a.pair->Ring());
  std::array<Completion, 8> out;
  for (fake::End* end : {&a, &b}) {
    end->pair->TakeEvents();
    end->device->TakeEvents();
    RELAY_TRY(end->pair->Poll(out));
  }
  return {};
}

// Every call that the life of a connection makes fails once, in turn, with several errnos: it is told as an error (or
// borne), nothing hangs, and nothing is left behind.
TEST(RdmaQueuePair, WhateverCallFailsNothingIsLeftBehind) {
  FakeVerbs healthy;
  healthy.AddLink("a0", "b0");
  ASSERT_TRUE(LiveOnce(healthy));
  ASSERT_EQ(healthy.Leaks(), "");

  std::set<std::string> names;
  for (const int error : {ENOMEM, EINVAL, EIO}) {
    uint64_t nth = 1;
    for (;; ++nth) {
      FakeVerbs fake;
      fake.AddLink("a0", "b0");
      fake.FailNthCall(nth, error);
      const Status outcome = LiveOnce(fake);
      EXPECT_EQ(fake.Leaks(), "") << fake.failed_call() << " number " << nth;
      if (fake.failed_call().empty()) break;
      names.insert(fake.failed_call());
      // What may fail without harm: the question whether DMA-BUF can be had, and what near() reads once more.
      if (!outcome) {
        EXPECT_NE(outcome.error().what, "") << fake.failed_call();
      } else {
        EXPECT_THAT(fake.failed_call(), testing::AnyOf("reg_dmabuf_mr", "query_port", "create_qp"));
      }
    }
    EXPECT_GT(nth, 30u);
  }
  for (const char* name : {"get_device_list", "open_device", "query_device", "query_port", "query_gid_table",
                           "alloc_pd", "reg_mr_iova2", "reg_dmabuf_mr", "create_comp_channel", "create_cq", "create_qp",
                           "modify_qp", "post_send", "post_recv", "req_notify_cq", "poll_cq"}) {
    EXPECT_TRUE(names.contains(name)) << name << " never failed";
  }
}

TEST(RdmaQueuePair, AtItsEndItIsFlushedAndEverythingGivenBack) {
  FakeVerbs fake(FakeVerbs::Pump::kManual);
  fake.AddLink("a0", "b0");
  auto a = fake::OpenEnd(fake, "a0"), b = fake::OpenEnd(fake, "b0");
  ASSERT_TRUE(fake::Join(a, b));
  auto near = fake::MakeBuffer(*a.device, 64, 1), far = fake::MakeBuffer(*b.device, 64);
  const Piece piece = near.piece(0, 64);
  a.pair->Write({&piece, 1}, far.remote(), 1, {});
  ASSERT_TRUE(a.pair->Ring());
  ASSERT_TRUE(a.pair->Arm());
  a.pair.reset();
  EXPECT_EQ(fake.calls("destroy_qp"), 1u);
  fake.StepUntilIdle();
  EXPECT_EQ(far.bytes[0], std::byte{0}) << "a queue pair that is gone writes nothing";
  b.pair.reset();
  near.memory.reset();
  far.memory.reset();
  a.device.reset();
  b.device.reset();
  EXPECT_EQ(fake.Leaks(), "");
}

TEST(RdmaQueuePair, UnreadWakingsDoNotHinderItsEnd) {
  Line line;
  ASSERT_TRUE(line.a.pair->Arm());
  line.Write(8, 1);
  ASSERT_TRUE(line.a.pair->Ring());
  ASSERT_TRUE(ChannelReadable(*line.a.pair));
  line.a.pair.reset();
  EXPECT_EQ(line.fake.live().channels, 1u);
  EXPECT_EQ(line.fake.live().completion_queues, 1u);
}

}  // namespace
}  // namespace relay::transport::rdma
