#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <thread>

#include "fake/verbs/joined.h"
#include "transport/rdma/port_facts.h"

namespace relay::transport::rdma {
namespace {

using fake::FakeVerbs;
using testing::ElementsAre;
using testing::HasSubstr;

bool Readable(int fd) {
  pollfd p{fd, POLLIN, 0};
  return poll(&p, 1, 0) == 1;
}

TEST(RdmaDevice, TheSameNameAndPortAreTheSameObjectWhileAnybodyHoldsIt) {
  FakeVerbs fake;
  fake.Add({.name = "a0", .ports = {fake::RocePort("10.0.0.1"), fake::RocePort("10.0.1.1")}});
  auto first = *Device::Open("a0", 1, &fake.table()), again = *Device::Open("a0", 1, &fake.table());
  auto second = *Device::Open("a0", 2, &fake.table());
  EXPECT_EQ(first, again);
  EXPECT_NE(first, second);
  EXPECT_EQ(fake.live().contexts, 2u);
  first.reset();
  again.reset();
  EXPECT_EQ(fake.live().contexts, 1u);
  EXPECT_TRUE(Device::Open("a0", 1, &fake.table()));
  second.reset();
  EXPECT_EQ(fake.Leaks(), "");
}

TEST(RdmaDevice, ThreadsThatOpenAtOnceGetTheSameObject) {
  FakeVerbs fake;
  fake.AddLink("a0", "b0");
  auto kept = *Device::Open("a0", 1, &fake.table());
  std::atomic<int> same{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { same += *Device::Open("a0", 1, &fake.table()) == kept; });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(same, 4);
  EXPECT_EQ(fake.calls("open_device"), 1u);
}

TEST(RdmaDevice, ItSaysWhatItIs) {
  FakeVerbs fake;
  fake::PortSpec port{.infiniband = true, .lid = 17, .gids = {}, .mtu = 2048, .max_message = 1u << 20};
  fake.Add({.name = "a0", .ports = {port}, .work_requests = 100, .pieces = 3, .completions = 1000});
  auto device = *Device::Open("a0", 1, &fake.table());
  EXPECT_EQ(device->name(), "a0");
  EXPECT_EQ(device->port(), 1);
  EXPECT_TRUE(device->infiniband());
  EXPECT_TRUE(device->active());
  EXPECT_EQ(device->speed_mbit(), 200000u);
  EXPECT_EQ(device->max_message(), 1u << 20);
  EXPECT_EQ(device->limits().work_requests, 100u);
  EXPECT_EQ(device->limits().pieces, 3u);
  EXPECT_EQ(device->limits().completions, 1000u);
  const auto facts = device->ReadPort();
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->lid, 17);
  EXPECT_EQ(facts->mtu, 2048);
  EXPECT_TRUE(fcntl(device->event_fd(), F_GETFL) & O_NONBLOCK);
}

TEST(RdmaDevice, SpeedsAreThoseOfTheirCodes) {
  EXPECT_EQ(PortSpeedMbit(2, 32), 100000u);   // EDR, 4 lanes
  EXPECT_EQ(PortSpeedMbit(2, 128), 400000u);  // NDR, 4 lanes
  EXPECT_EQ(PortSpeedMbit(1, 1), 2500u);
  EXPECT_EQ(PortSpeedMbit(16, 64), 100000u);  // HDR, 2 lanes
  EXPECT_EQ(PortSpeedMbit(2, 3), 0u);
  EXPECT_EQ(PortSpeedMbit(3, 32), 0u);
}

TEST(RdmaDevice, AWrongNamePortOrKindIsRefusedWithASentence) {
  FakeVerbs fake;
  fake.Add({.name = "a0", .ports = {fake::RocePort("10.0.0.1")}});
  fake.Add({.name = "iw0", .ports = {fake::RocePort("10.0.1.1")}, .infiniband_transport = false});
  const auto open = [&](const char* name, uint8_t port) {
    auto device = Device::Open(name, port, &fake.table());
    return device ? std::string("opened") : device.error().what;
  };
  EXPECT_THAT(open("a1", 1), HasSubstr("no RDMA device a1 here; there are: a0, iw0"));
  EXPECT_THAT(open("a0", 2), HasSubstr("has 1 ports, and none with the number 2"));
  EXPECT_THAT(open("a0", 0), HasSubstr("none with the number 0"));
  EXPECT_THAT(open("iw0", 1), HasSubstr("neither InfiniBand nor RoCE"));
  FakeVerbs none;
  EXPECT_THAT(Device::Open("a0", 1, &none.table()).error().what, HasSubstr("there are: none"));
  EXPECT_EQ(fake.Leaks(), "");
}

// Each call of opening fails in turn: nothing leaks, the sentence is there, and the next try goes well.
TEST(RdmaDevice, WhateverFailsInOpeningNothingIsLeftBehind) {
  FakeVerbs fake;
  fake.AddLink("a0", "b0");
  uint64_t calls = 0;
  for (const char* name : {"get_device_list", "open_device", "query_device", "query_port", "alloc_pd"}) {
    const uint64_t before = fake.calls(name);
    fake.FailCall(name, ENOMEM);
    const auto device = Device::Open("a0", 1, &fake.table());
    ASSERT_FALSE(device) << name;
    EXPECT_EQ(fake.failed_call(), name);
    EXPECT_EQ(device.error().code, ErrorCode::kSystem) << name;
    EXPECT_THAT(device.error().what, HasSubstr("a0")) << name;
    EXPECT_EQ(fake.Leaks(), "") << name;
    calls += fake.calls(name) - before;
  }
  EXPECT_EQ(calls, 5u);
  EXPECT_TRUE(Device::Open("a0", 1, &fake.table()));
}

TEST(RdmaDevice, ADeviceThatMayNotBeOpenedSaysHowToStartAContainer) {
  FakeVerbs fake;
  fake.AddLink("a0", "b0");
  fake.FailCall("open_device", EACCES);
  const auto device = Device::Open("a0", 1, &fake.table());
  ASSERT_FALSE(device);
  EXPECT_EQ(device.error().sys_errno, EACCES);
  EXPECT_THAT(device.error().what, HasSubstr("/dev/infiniband/uverbs0"));
  EXPECT_THAT(device.error().what, HasSubstr("--device /dev/infiniband --cap-add IPC_LOCK --ulimit memlock=-1"));
}

TEST(RdmaDevice, ItsAddressesAreThoseOfItsPortWithoutTheEmptyOnesRoceTwoFirst) {
  FakeVerbs fake;
  fake::PortSpec port = fake::RocePort("10.0.0.1"), other = fake::RocePort("10.0.1.1");
  port.gids.push_back({.bytes = {}, .index = 9, .type = GidType::kRoce2});
  Gid far_down = port.gids[3];
  far_down.index = 300;
  port.gids.push_back(far_down);
  fake.Add({.name = "a0", .ports = {port, other}});
  auto device = *Device::Open("a0", 1, &fake.table());
  const auto gids = device->ReadGids();
  ASSERT_TRUE(gids);
  std::vector<std::string> texts;
  for (const Gid& gid : *gids) texts.push_back(ToText(gid) + " at " + std::to_string(gid.index));
  EXPECT_THAT(texts, ElementsAre("fe80::ff:fe00:1 (RoCE v2) at 1", "10.0.0.1 (RoCE v2) at 3",
                                 "fe80::ff:fe00:1 (RoCE v1) at 0", "10.0.0.1 (RoCE v1) at 2"));
}

TEST(RdmaDevice, OfTooManyAddressesRoceTwoIsKept) {
  FakeVerbs fake;
  fake::PortSpec port = fake::RocePort("10.0.0.1");
  const Gid v1 = port.gids[2], v2 = port.gids[3];
  port.gids.clear();
  for (uint16_t i = 0; i < 100; ++i) {
    port.gids.push_back(i < 80 ? v1 : v2);
    port.gids.back().index = i;
  }
  fake.Add({.name = "a0", .ports = {port}});
  auto device = *Device::Open("a0", 1, &fake.table());
  const auto gids = device->ReadGids();
  ASSERT_TRUE(gids);
  ASSERT_EQ(gids->size(), kMaxGids);
  EXPECT_EQ((*gids)[19].type, GidType::kRoce2);
  EXPECT_EQ((*gids)[20].type, GidType::kRoce1);
}

// --- Asynchronous events: whom they reach, and whom they do not.

struct TwoPorts {
  TwoPorts() {
    fake.Add({.name = "a0", .ports = {fake::RocePort("10.0.0.1"), fake::RocePort("10.0.1.1")}});
    one = fake::OpenEnd(fake, "a0");
    two = fake::OpenEnd(fake, "a0", {}, 2);
    sibling = fake::OpenEnd(fake, "a0");
  }
  void TakeEvents() {
    one.device->TakeEvents();
    two.device->TakeEvents();
  }
  std::string Troubles() const {
    return std::string(one.pair->trouble() ? "one " : "") + (sibling.pair->trouble() ? "sibling " : "") +
           (two.pair->trouble() ? "two " : "") + (one.device->trouble() ? "device " : "");
  }
  FakeVerbs fake;
  fake::End one, two, sibling;
};

TEST(RdmaEvents, APortErrorReachesTheQueuePairsOfThatPort) {
  TwoPorts at;
  EXPECT_FALSE(Readable(at.one.device->event_fd()));
  at.fake.SetPort({"a0", 1}, false);
  EXPECT_TRUE(Readable(at.one.device->event_fd()));
  EXPECT_TRUE(at.one.device->active()) << "as of the last TakeEvents";
  at.TakeEvents();
  EXPECT_FALSE(Readable(at.one.device->event_fd()));
  EXPECT_EQ(at.Troubles(), "one sibling ");
  EXPECT_EQ(at.one.pair->trouble()->code, ErrorCode::kRemote);
  EXPECT_THAT(at.one.pair->trouble()->what, HasSubstr("port 1 of a0 went down"));
  EXPECT_FALSE(at.one.device->active());
  EXPECT_TRUE(at.two.device->active());
  at.fake.SetPort({"a0", 1}, true);
  at.TakeEvents();
  EXPECT_TRUE(at.one.device->active());
  EXPECT_EQ(at.Troubles(), "one sibling ") << "what was, stays: their packets are lost";
  auto fresh = QueuePair::Create(at.one.device, {});
  ASSERT_TRUE(fresh);
  EXPECT_FALSE((*fresh)->trouble());
}

TEST(RdmaEvents, AnEventOfOneQueuePairReachesItAlone) {
  for (const auto event : {IBV_EVENT_QP_FATAL, IBV_EVENT_QP_REQ_ERR, IBV_EVENT_QP_ACCESS_ERR}) {
    TwoPorts at;
    at.fake.RaisePairEvent(at.sibling.number(), event);
    at.TakeEvents();
    EXPECT_EQ(at.Troubles(), "sibling ") << event;
  }
}

TEST(RdmaEvents, ACompletionQueuesErrorReachesItsQueuePair) {
  TwoPorts at;
  at.fake.RaisePairEvent(at.one.number(), IBV_EVENT_CQ_ERR);
  at.TakeEvents();
  EXPECT_EQ(at.Troubles(), "one ");
  EXPECT_THAT(at.one.pair->trouble()->what, HasSubstr("completion queue of a0 failed (CQ error)"));
}

TEST(RdmaEvents, AFatalDeviceReachesAllOfItNowAndLater) {
  TwoPorts at;
  at.fake.RaisePortEvent({"a0", 1}, IBV_EVENT_DEVICE_FATAL);
  at.TakeEvents();
  EXPECT_EQ(at.Troubles(), "one sibling two device ");
  EXPECT_EQ(at.one.device->trouble()->code, ErrorCode::kSystem);
  EXPECT_FALSE(at.one.device->active());
  const auto more = QueuePair::Create(at.one.device, {});
  ASSERT_FALSE(more);
  EXPECT_THAT(more.error().what, HasSubstr("RDMA device a0 is gone"));
  // Whoever opens it again gets a new one, not the dead.
  const auto again = Device::Open("a0", 1, &at.fake.table());
  ASSERT_TRUE(again);
  EXPECT_NE(*again, at.one.device);
}

TEST(RdmaEvents, ADriverThatLetsGoIsTheSame) {
  TwoPorts at;
  at.fake.Unplug("a0");
  at.TakeEvents();
  EXPECT_EQ(at.Troubles(), "one sibling two device ");
}

TEST(RdmaEvents, TheFirstEventThatEndsAQueuePairStays) {
  TwoPorts at;
  at.fake.RaisePairEvent(at.one.number(), IBV_EVENT_QP_FATAL);
  at.fake.RaisePortEvent({"a0", 1}, IBV_EVENT_DEVICE_FATAL);
  at.TakeEvents();
  EXPECT_THAT(at.one.pair->trouble()->what, HasSubstr("a queue pair of a0 failed"));
}

TEST(RdmaEvents, APortThatWasDownHidesNothingThatEnds) {
  TwoPorts at;
  at.fake.SetPort({"a0", 1}, false);
  at.fake.SetPort({"a0", 1}, true);
  at.TakeEvents();
  EXPECT_TRUE(at.one.pair->Arm()) << "it may go on";
  at.fake.RaisePortEvent({"a0", 1}, IBV_EVENT_DEVICE_FATAL);
  at.TakeEvents();
  const Status armed = at.one.pair->Arm();
  ASSERT_FALSE(armed) << "who sleeps on a device that is gone never wakes";
  EXPECT_THAT(armed.error().what, HasSubstr("RDMA device a0 is gone"));
}

TEST(RdmaEvents, NobodySleepsOnAQueuePairThatHasFailed) {
  for (const auto event : {IBV_EVENT_QP_FATAL, IBV_EVENT_QP_REQ_ERR, IBV_EVENT_QP_ACCESS_ERR, IBV_EVENT_CQ_ERR}) {
    TwoPorts at;
    at.fake.RaisePairEvent(at.one.number(), event);
    at.TakeEvents();
    EXPECT_FALSE(at.one.pair->Arm()) << event;
    EXPECT_TRUE(at.sibling.pair->Arm()) << event;
  }
}

TEST(RdmaEvents, ADeviceThatDiedUnheardIsOpenedAfresh) {
  TwoPorts at;
  at.fake.RaisePortEvent({"a0", 1}, IBV_EVENT_DEVICE_FATAL);
  const auto again = Device::Open("a0", 1, &at.fake.table());
  ASSERT_TRUE(again);
  EXPECT_NE(*again, at.one.device);
  EXPECT_TRUE(QueuePair::Create(*again, {}));
}

TEST(RdmaEvents, WhatAQueuePairSurvivesIsNoTrouble) {
  TwoPorts at;
  for (const auto event : {IBV_EVENT_GID_CHANGE, IBV_EVENT_LID_CHANGE, IBV_EVENT_PKEY_CHANGE, IBV_EVENT_SM_CHANGE,
                           IBV_EVENT_CLIENT_REREGISTER, IBV_EVENT_PORT_ACTIVE}) {
    at.fake.RaisePortEvent({"a0", 1}, event);
  }
  at.fake.RaisePairEvent(at.one.number(), IBV_EVENT_COMM_EST);
  at.fake.RaisePairEvent(at.one.number(), IBV_EVENT_SQ_DRAINED);
  at.TakeEvents();
  EXPECT_EQ(at.Troubles(), "");
}

TEST(RdmaEvents, AnUnreadEventOfAQueuePairThatIsGoneReachesNobody) {
  TwoPorts at;
  at.fake.RaisePairEvent(at.sibling.number(), IBV_EVENT_QP_FATAL);
  at.fake.RaisePairEvent(at.sibling.number(), IBV_EVENT_CQ_ERR);
  at.sibling.pair.reset();
  EXPECT_FALSE(Readable(at.one.device->event_fd()));
  at.TakeEvents();
  EXPECT_FALSE(at.one.pair->trouble());
}

TEST(RdmaEvents, QueuePairsComeAndGoBesideEvents) {
  FakeVerbs fake;
  fake.AddLink("a0", "b0");
  auto device = *Device::Open("a0", 1, &fake.table());
  std::atomic<bool> stop{false};
  std::thread raising([&] {
    while (!stop) {
      for (const uint32_t number : fake.queue_pairs()) fake.RaisePairEvent(number, IBV_EVENT_QP_ACCESS_ERR);
      fake.RaisePortEvent({"a0", 1}, IBV_EVENT_GID_CHANGE);
      std::this_thread::yield();
    }
  });
  std::thread taking([&] {
    while (!stop) device->TakeEvents();
  });
  for (int i = 0; i < 200; ++i) {
    auto pair = QueuePair::Create(device, {.sends = 2, .receives = 2});
    ASSERT_TRUE(pair) << pair.error().what;
    static_cast<void>((*pair)->trouble());
  }
  stop = true;
  raising.join();
  taking.join();
  device.reset();
  EXPECT_EQ(fake.Leaks(), "");
}

// --- FindDevice and ListDevices

TEST(RdmaDeviceList, ADeviceIsFoundByItsNameAndNothingIsOpened) {
  FakeVerbs fake;
  fake.AddLink("a0", "b0");
  fake.FailCall("open_device", EIO);
  EXPECT_TRUE(FindDevice("b0", &fake.table()));
  const Status missing = FindDevice("c0", &fake.table());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().what,
            "libibverbs does not find it (it finds: a0, b0): install its provider, of ibverbs-providers or rdma-core");
  EXPECT_EQ(fake.Leaks(), "");
}

TEST(RdmaDeviceList, EveryPortIsListedAndSaysWhyItCannotBeUsed) {
  FakeVerbs fake;
  fake::PortSpec down = fake::RocePort("10.0.1.1");
  down.up = false;
  fake.Add({.name = "a0", .ports = {fake::RocePort("10.0.0.1"), down}});
  fake.Add({.name = "b0", .ports = {fake::PortSpec{}}});
  fake.Add({.name = "c0", .ports = {}, .infiniband_transport = false});
  const auto list = ListDevices(&fake.table());
  ASSERT_TRUE(list);
  std::vector<std::string> lines;
  for (const DeviceFacts& facts : *list) {
    lines.push_back(facts.name + "/" + std::to_string(facts.port) + (facts.active ? " active " : " ") +
                    std::to_string(facts.speed_mbit) + " " + facts.why_not);
  }
  EXPECT_THAT(lines, ElementsAre("a0/1 active 200000 ", "a0/2 200000 port 2 of a0 is down: look at its cable",
                                 "b0/1 active 200000 b0 has no address: give its interface one",
                                 "c0/1 0 c0 speaks neither InfiniBand nor RoCE: its links are used over TCP"));
  EXPECT_EQ(fake.Leaks(), "");
}

TEST(RdmaDeviceList, WhateverFailsIsSaidAndNothingIsLeftBehind) {
  FakeVerbs fake;
  fake.AddLink("a0", "b0");
  for (const char* name : {"open_device", "query_device", "query_port", "query_gid_table"}) {
    fake.FailCall(name, EIO);
    const auto list = ListDevices(&fake.table());
    ASSERT_TRUE(list) << name;
    ASSERT_FALSE(list->empty()) << name;
    EXPECT_THAT(list->front().why_not, HasSubstr("Input/output error")) << name;
    EXPECT_EQ(fake.Leaks(), "") << name;
  }
  FakeVerbs none;
  EXPECT_TRUE(ListDevices(&none.table())->empty());
}

}  // namespace
}  // namespace relay::transport::rdma
