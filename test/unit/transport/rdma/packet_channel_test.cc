// Credit on one hop of a relayed lane: two channels, or one and a neighbour that breaks the protocol.
#include "transport/rdma/packet_channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fake/lane_pair.h"
#include "fake/verbs/joined.h"
#include "transport/rdma/gid_choice.h"

namespace relay::transport::rdma::packet_channel {
namespace {

using testing::HasSubstr;

constexpr uint32_t kOffered = 8;
constexpr PacketChannel::Shape kShape{.slots = kOffered + PacketChannel::kSpareReceives};

struct Hop {
  Hop() {
    verbs.AddLink("a", "b");
    near = PacketChannel::Make(fake::OpenDevice(verbs, "a"), kShape).value();
    far = PacketChannel::Make(fake::OpenDevice(verbs, "b"), kShape).value();
    EXPECT_TRUE(far->Accept(near->offer(), {}, {}));
    EXPECT_TRUE(near->Connect(far->offer()));
  }
  // As many as there is credit for.
  size_t SendAll() {
    size_t sent = 0;
    for (; near->MaySend(); ++sent) near->Send({.type = PacketType::kAck, .whole = sent}, nullptr, sent);
    EXPECT_TRUE(near->Ring());
    Events(*near);
    return sent;
  }
  // The slots that packets have come in.
  std::vector<uint32_t> Arrived() {
    std::vector<uint32_t> slots;
    for (const auto& event : Events(*far)) {
      if (event.kind == PacketChannel::Event::Kind::kArrived) slots.push_back(event.slot);
    }
    return slots;
  }
  static std::vector<PacketChannel::Event> Events(PacketChannel& channel) {
    std::vector<PacketChannel::Event> out;
    PacketChannel::Event events[16];
    while (true) {
      const auto count = channel.Poll(events);
      EXPECT_TRUE(count) << count.error().what;
      if (!count || *count == 0) return out;
      out.insert(out.end(), events, events + *count);
    }
  }
  fake::FakeVerbs verbs;
  std::unique_ptr<PacketChannel> near, far;
};

TEST(PacketChannel, ASenderHasCreditForAsManyPacketsAsAreOffered) {
  Hop hop;
  EXPECT_EQ(hop.near->offer().slots, kOffered);
  EXPECT_EQ(hop.SendAll(), kOffered);
  EXPECT_EQ(hop.Arrived().size(), kOffered);
  EXPECT_EQ(hop.SendAll(), 0u) << "nothing was given back";
  EXPECT_EQ(hop.verbs.traffic().receiver_not_ready, 0u);
}

TEST(PacketChannel, CreditComesBackByQuartersOfTheSlots) {
  Hop hop;
  hop.SendAll();
  const auto slots = hop.Arrived();
  ASSERT_EQ(slots.size(), kOffered);
  size_t given_back = 0;
  for (uint32_t slot : slots) {
    hop.far->GiveBack(slot);
    ASSERT_TRUE(hop.far->Ring());
    ++given_back;
    Hop::Events(*hop.near);
    const size_t sent = hop.SendAll();
    EXPECT_EQ(sent, given_back % (kOffered / 4) == 0 ? kOffered / 4 : 0) << given_back;
  }
  EXPECT_EQ(hop.verbs.traffic().receiver_not_ready, 0u);
}

TEST(PacketChannel, ThousandsOfPacketsFindASlot) {
  Hop hop;
  size_t sent = 0;
  for (int round = 0; round < 1000; ++round) {
    sent += hop.SendAll();
    for (uint32_t slot : hop.Arrived()) hop.far->GiveBack(slot);
    ASSERT_TRUE(hop.far->Ring());
    Hop::Events(*hop.near);
  }
  EXPECT_EQ(sent, 1000 * kOffered);
  EXPECT_EQ(hop.verbs.traffic().receiver_not_ready, 0u);
}

// A neighbour that says what it likes.
struct Hostile {
  Hostile() {
    verbs.AddLink("a", "b");
    channel = PacketChannel::Make(fake::OpenDevice(verbs, "a"), kShape).value();
    peer = fake::OpenEnd(verbs, "b");
    Endpoint endpoint = peer.pair->near();
    const auto gids = ChooseGids(endpoint, channel->offer().endpoint, {}, {}).value();
    EXPECT_TRUE(peer.pair->Connect(channel->offer().endpoint, gids));
    endpoint.chosen = static_cast<uint8_t>(gids.far);
    endpoint.own = static_cast<uint8_t>(gids.near);
    EXPECT_TRUE(channel->Connect({.endpoint = endpoint, .slots = kOffered}));
  }
  void Say(uint32_t immediate) {
    peer.pair->Write({}, {}, 0, {.immediate = immediate});
    EXPECT_TRUE(peer.pair->Ring());
  }
  std::string Error() {
    PacketChannel::Event events[16];
    const auto count = channel->Poll(events);
    return count ? "" : count.error().what;
  }
  static constexpr uint32_t kCredit = 1u << 31;
  fake::FakeVerbs verbs;
  std::unique_ptr<PacketChannel> channel;
  fake::End peer;
};

TEST(PacketChannel, ANeighbourMayNotGiveBackWhatNobodyTook) {
  Hostile early;
  early.Say(Hostile::kCredit | 1);
  EXPECT_THAT(early.Error(), HasSubstr("gives back slots that nobody took"));

  Hostile much;
  much.channel->Send({.type = PacketType::kAck}, nullptr, 0);
  much.channel->Send({.type = PacketType::kAck}, nullptr, 1);
  much.Say(Hostile::kCredit | 2);
  EXPECT_EQ(much.Error(), "");
  much.Say(Hostile::kCredit | 1);
  EXPECT_THAT(much.Error(), HasSubstr("gives back slots that nobody took")) << "a count that falls";
}

TEST(PacketChannel, AnImmediateWhereNoneIsDueIsRefused) {
  Hostile hostile;
  hostile.Say(1);
  EXPECT_THAT(hostile.Error(), HasSubstr("an immediate where none is due"));
}

TEST(PacketChannel, APacketWithoutItsHeaderIsRefused) {
  Hostile hostile;
  auto bytes = fake::MakeBuffer(*hostile.peer.device, kPacketBytes);
  const Piece piece = bytes.piece(0, kPacketBytes - 1);
  hostile.peer.pair->Send({&piece, 1}, 0, {});
  ASSERT_TRUE(hostile.peer.pair->Ring());
  EXPECT_THAT(hostile.Error(), HasSubstr("a packet without its header"));
}

}  // namespace
}  // namespace relay::transport::rdma::packet_channel
