// The sending end of a relayed lane, before a relay that is in the test's hands.
#include "transport/rdma/relayed_send_lane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "fake/lane_pair.h"

namespace relay::transport::rdma {
namespace {

using fake::FakeVerbs;
using fake::Registered;
using testing::HasSubstr;

constexpr Duration kTimeout = std::chrono::seconds(10);
constexpr uint32_t kBytes = 64, kSlots = 64;

struct FirstHop {
  FirstHop() {
    verbs.AddLink("n", "f");
    near = fake::OpenDevice(verbs, "n");
    far = fake::OpenDevice(verbs, "f");
    sender = RelayedSendLane::Make(near, kTimeout).value();
    space = std::make_unique<Registered>(*far, size_t{kSlots} * kBytes);
    relay = PacketChannel::Make(far, {.slots = kSlots, .sends = 128, .hop_timeout = kTimeout},
                                {space->bytes.data(), kBytes}, space->memory->local_key())
                .value();
    EXPECT_TRUE(relay->Accept(sender->offer(), {}, {}));
    EXPECT_TRUE(sender->Connect(relay->offer()));
    from = std::make_unique<Registered>(*near, kBytes);
  }
  void Say(const Packet& packet) {
    relay->Send(packet, nullptr, 1);
    EXPECT_TRUE(relay->Ring());
  }
  // One message leaves for the relay.
  void Send() {
    Say({.type = PacketType::kCts, .message = 0, .total = kBytes});
    ASSERT_EQ(*sender->Whole(), 0u);
    ASSERT_EQ(*sender->CapacityOf(0), kBytes);
    ASSERT_TRUE(*sender->Start(from->buffer(kBytes)) && sender->Ring());
  }

  FakeVerbs verbs;
  std::shared_ptr<Device> near, far;
  std::unique_ptr<Registered> from, space;
  std::unique_ptr<PacketChannel> relay;
  std::unique_ptr<RelayedSendLane> sender;
};

TEST(RelayedSendLane, AMessageIsDoneWhenTheReceiverHasIt) {
  FirstHop hop;
  hop.Send();
  EXPECT_EQ(*hop.sender->Whole(), 0u);
  hop.Say({.type = PacketType::kAck, .whole = 1});
  EXPECT_EQ(*hop.sender->Whole(), 1u);
}

TEST(RelayedSendLane, MoreCannotBeAcknowledgedThanHasLeft) {
  FirstHop hop;
  hop.Send();
  hop.Say({.type = PacketType::kAck, .whole = 2});
  const auto whole = hop.sender->Whole();
  ASSERT_FALSE(whole);
  EXPECT_THAT(whole.error().what, HasSubstr("a packet that is not due"));
}

// The receiver may be faster than the near device is with its own completion; until then it may read the memory again.
TEST(RelayedSendLane, AMessageIsNotDoneWhileTheDeviceHoldsItsPackets) {
  FirstHop hop;
  hop.verbs.SetOnPoll([](std::span<ibv_wc> room, int count) {
    const auto end =
        std::remove_if(room.begin(), room.begin() + count, [](const ibv_wc& wc) { return wc.opcode == IBV_WC_SEND; });
    return static_cast<int>(end - room.begin());
  });
  hop.Send();
  hop.Say({.type = PacketType::kAck, .whole = 1});
  EXPECT_EQ(*hop.sender->Whole(), 0u);
}

}  // namespace
}  // namespace relay::transport::rdma
