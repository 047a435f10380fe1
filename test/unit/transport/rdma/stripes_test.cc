// Direct lanes over several links: what is split and how, what is whole and when, and which links are used.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <rapidcheck/gtest.h>

#include <random>

#include "fake/no_descriptors.h"
#include "fake/striped_pair.h"
#include "fake/verbs/joined.h"

namespace relay::transport::rdma::stripes {
namespace {

using fake::RegisteredOnAll;
using fake::StripedLanes;
using testing::HasSubstr;

void Fill(std::vector<std::byte>& bytes, size_t seed) {
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 31 + seed * 7 + i / 255);
}

// Announces and starts one message; both ends have room.
void Begin(StripedLanes& lanes, RegisteredOnAll& from, RegisteredOnAll& to, uint64_t message, size_t size) {
  ASSERT_TRUE(*lanes.receiver->Announce(to.buffer(size)) && lanes.receiver->Ring());
  ASSERT_EQ(*lanes.sender->CapacityOf(message), size);
  ASSERT_TRUE(*lanes.sender->Start(from.buffer(size)) && lanes.sender->Ring());
}

TEST(Stripes, ALargeMessageIsOneWriteAndOneCompletionOnEachLink) {
  StripedLanes lanes(2);
  lanes.Connect({100, 100});
  RegisteredOnAll from(lanes.a, 1 << 20), to(lanes.b, 1 << 20);
  Fill(from.bytes, 1);
  ASSERT_TRUE(*lanes.receiver->Announce(to.buffer(1 << 20)) && lanes.receiver->Ring());
  ASSERT_TRUE(*lanes.sender->CapacityOf(0));
  const auto before = lanes.verbs.traffic();
  ASSERT_TRUE(*lanes.sender->Start(from.buffer(1 << 20)) && lanes.sender->Ring());
  const auto after = lanes.verbs.traffic();
  EXPECT_EQ(after.writes - before.writes, 2U);
  EXPECT_EQ(after.send_chains - before.send_chains, 2U);
  EXPECT_EQ(after.completions - before.completions, 4U);
  EXPECT_EQ(*lanes.receiver->NextWhole(), 1U << 20);
  EXPECT_EQ(to.bytes, from.bytes);
  EXPECT_EQ(*lanes.sender->Whole(), 1U);
  EXPECT_EQ(lanes.sender->Summary(), "524288 bytes by a0, 524288 by a1");
}

TEST(Stripes, SmallMessagesTakeTurnsWhole) {
  StripedLanes lanes(3);
  lanes.Connect();
  RegisteredOnAll from(lanes.a, 1000), to(lanes.b, 1000);
  for (uint64_t i = 0; i < 99; ++i) {
    const auto before = lanes.verbs.traffic();
    Begin(lanes, from, to, i, 1000);
    EXPECT_EQ(lanes.verbs.traffic().writes - before.writes, 2U) << "its CTS and itself";
    EXPECT_EQ(*lanes.receiver->NextWhole(), 1000U);
    EXPECT_EQ(*lanes.sender->Whole(), i + 1);
  }
  EXPECT_EQ(lanes.sender->Summary(), "33000 bytes by a0, 33000 by a1, 33000 by a2");
  EXPECT_EQ(lanes.verbs.traffic().receiver_not_ready, 0U);
}

TEST(Stripes, OneLinkAloneSaysNothingOfItself) {
  StripedLanes lanes(1);
  lanes.Connect();
  EXPECT_EQ(lanes.sender->Summary(), "");
}

TEST(Stripes, AMessageIsNotWholeWhileADeviceHoldsItsPart) {
  for (const char* slow : {"a0", "a1", "a2"}) {
    StripedLanes lanes(3);
    lanes.Connect();
    RegisteredOnAll from(lanes.a, 300000), to(lanes.b, 300000);
    Fill(from.bytes, 1);
    lanes.verbs.Hold(slow, true);
    Begin(lanes, from, to, 0, 300000);
    for (int i = 0; i < 3; ++i) {
      EXPECT_FALSE(*lanes.receiver->NextWhole()) << slow;
      EXPECT_EQ(*lanes.sender->Whole(), 0U) << slow;
    }
    EXPECT_NE(to.bytes, from.bytes);
    lanes.verbs.Hold(slow, false);
    EXPECT_EQ(*lanes.receiver->NextWhole(), 300000U) << slow;
    EXPECT_EQ(to.bytes, from.bytes);
    EXPECT_EQ(*lanes.sender->Whole(), 1U) << slow;
  }
}

TEST(Stripes, AMessageThatOvertakesOnAnotherLinkWaitsForItsTurn) {
  StripedLanes lanes(2);
  lanes.Connect();
  RegisteredOnAll from(lanes.a, 100), to(lanes.b, 100);
  lanes.verbs.Hold("a0", true);
  Begin(lanes, from, to, 0, 10);
  Begin(lanes, from, to, 1, 11);
  EXPECT_FALSE(*lanes.receiver->NextWhole());
  EXPECT_EQ(*lanes.sender->Whole(), 0U);
  lanes.verbs.Hold("a0", false);
  EXPECT_EQ(*lanes.receiver->NextWhole(), 10U);
  EXPECT_EQ(*lanes.receiver->NextWhole(), 11U);
  EXPECT_EQ(*lanes.sender->Whole(), 2U);
}

// Any interleaving of the two ends and of the work of each device; one link among them.
RC_GTEST_PROP(Stripes, EveryMessageArrivesWholeAndInOrder, ()) {
  const auto links = *rc::gen::inRange<size_t>(1, kMaxStripes + 1);
  StripedLanes lanes(links, fake::FakeVerbs::Pump::kManual);
  lanes.Connect(*rc::gen::container<std::vector<uint32_t>>(links, rc::gen::inRange<uint32_t>(0, 4)));
  const auto sizes = *rc::gen::container<std::vector<size_t>>(
      rc::gen::oneOf(rc::gen::inRange<size_t>(0, 3000), rc::gen::inRange<size_t>(kSplitBytes - 2, kSplitBytes + 3),
                     rc::gen::inRange<size_t>(kSplitBytes, 4 * kSplitBytes)));
  struct Message {
    std::unique_ptr<RegisteredOnAll> from, to;
  };
  std::vector<Message> messages;
  for (size_t size : sizes) {
    messages.push_back(
        {std::make_unique<RegisteredOnAll>(lanes.a, size), std::make_unique<RegisteredOnAll>(lanes.b, size)});
    Fill(messages.back().from->bytes, messages.size());
  }
  const auto there = [&](size_t i) {
    return std::equal(messages[i].to->bytes.begin(), messages[i].to->bytes.begin() + static_cast<ptrdiff_t>(sizes[i]),
                      messages[i].from->bytes.begin());
  };
  size_t announced = 0, started = 0, whole = 0, received = 0;
  const auto pairs = lanes.verbs.queue_pairs();
  std::minstd_rand random(*rc::gen::arbitrary<uint32_t>());
  while (received < messages.size() || whole < messages.size()) {
    switch (random() % 6) {
      case 0:
        if (announced < messages.size() &&
            *lanes.receiver->Announce(messages[announced].to->buffer(sizes[announced]))) {
          ++announced;
        }
        RC_ASSERT(lanes.receiver->Ring().has_value());
        break;
      case 1:
        if (started < messages.size() && *lanes.sender->CapacityOf(started) &&
            *lanes.sender->Start(messages[started].from->buffer(sizes[started]))) {
          ++started;
        }
        RC_ASSERT(lanes.sender->Ring().has_value());
        break;
      case 2:
      case 3:
        lanes.verbs.StepPair(pairs[random() % pairs.size()]);
        break;
      case 4: {
        const auto size = *lanes.receiver->NextWhole();
        if (!size) break;
        RC_ASSERT(received < started);
        RC_ASSERT(*size == sizes[received]);
        RC_ASSERT(there(received));
        ++received;
        break;
      }
      case 5: {
        const uint64_t now = *lanes.sender->Whole();
        RC_ASSERT(now >= whole);
        RC_ASSERT(now <= started);
        for (; whole < now; ++whole) RC_ASSERT(there(whole));
        break;
      }
    }
  }
  RC_ASSERT(lanes.verbs.traffic().receiver_not_ready == 0U);
}

TEST(Stripes, WhoeverSleepsIsWokenByAnyOfTheLinks) {
  StripedLanes lanes(2);
  lanes.Connect();
  RegisteredOnAll from(lanes.a, 100), to(lanes.b, 100);
  const auto readable = [&] {
    pollfd p{lanes.receiver->fd(), POLLIN, 0};
    return poll(&p, 1, 0) == 1;
  };
  for (uint64_t message = 0; message < 4; ++message) {  // over one link and the other
    ASSERT_TRUE(lanes.receiver->Arm());
    EXPECT_FALSE(*lanes.receiver->NextWhole());
    EXPECT_FALSE(readable());
    Begin(lanes, from, to, message, 100);
    EXPECT_TRUE(readable()) << message;
    lanes.receiver->TakeEvents();
    EXPECT_FALSE(readable()) << message;
    EXPECT_EQ(*lanes.receiver->NextWhole(), 100U);
    EXPECT_EQ(*lanes.sender->Whole(), message + 1);
  }
}

TEST(Stripes, ALinkThatFailsEndsTheLaneByItsName) {
  StripedLanes lanes(2);
  lanes.Connect();
  RegisteredOnAll from(lanes.a, 300000), to(lanes.b, 300000);
  lanes.verbs.Hold("a1", true);
  Begin(lanes, from, to, 0, 300000);
  lanes.verbs.Cut({"a1"});
  lanes.verbs.Hold("a1", false);
  lanes.verbs.StepUntilIdle();
  auto whole = lanes.sender->Whole();
  ASSERT_FALSE(whole);
  EXPECT_THAT(whole.error().what, HasSubstr("a1 port 1"));
  EXPECT_FALSE(*lanes.receiver->NextWhole());
}

TEST(Stripes, ALaneLeavesNothingBehind) {
  StripedLanes lanes(4);
  lanes.Connect();
  EXPECT_EQ(lanes.verbs.live().queue_pairs, 8U);
  lanes.sender.reset();
  lanes.receiver.reset();
  lanes.a.clear();
  lanes.b.clear();
  EXPECT_EQ(lanes.verbs.Leaks(), "");
}

// --- Set-up.

void ExpectCarries(StripedLanes& lanes, const fake::Devices& a, const fake::Devices& b, const std::string& summary) {
  RegisteredOnAll from(a, 1 << 20), to(b, 1 << 20);
  Fill(from.bytes, 9);
  Begin(lanes, from, to, 0, 1 << 20);
  EXPECT_EQ(*lanes.receiver->NextWhole(), 1U << 20);
  EXPECT_EQ(to.bytes, from.bytes);
  EXPECT_EQ(*lanes.sender->Whole(), 1U);
  EXPECT_EQ(lanes.sender->Summary(), summary);
}

TEST(StripesSetUp, ALinkThatEitherSideLacksIsLeftOut) {
  StripedLanes lanes(3);
  const auto answer = lanes.Answer({lanes.b[0], nullptr, lanes.b[2]}, lanes.Dial(lanes.a));
  EXPECT_FALSE(answer.parallel[0]);
  ASSERT_TRUE(lanes.sender_connected(answer));
  EXPECT_EQ(lanes.verbs.live().queue_pairs, 4U) << "what is not used is not kept";
  ExpectCarries(lanes, {lanes.a[0], lanes.a[2]}, {lanes.b[0], lanes.b[2]}, "524288 bytes by a0, 524288 by a2");

  StripedLanes other(2);
  const auto offer = other.Dial({other.a[0], nullptr});
  EXPECT_FALSE(offer.parallel[0]);
  ASSERT_TRUE(other.sender_connected(other.Answer(other.b, offer)));
  ExpectCarries(other, {other.a[0]}, {other.b[0]}, "");
}

TEST(StripesSetUp, APortThatIsDownIsLeftOutAndNamed) {
  StripedLanes lanes(2);
  const auto offer = lanes.Dial(lanes.a);
  lanes.verbs.SetPort({"b1"}, false);
  const auto answer = lanes.Answer(lanes.b, offer);
  EXPECT_THAT(lanes.receiver->missing(), HasSubstr("a parallel link is not used: b1 port 1 is down"));
  ASSERT_TRUE(lanes.sender_connected(answer));
  ExpectCarries(lanes, {lanes.a[0]}, {lanes.b[0]}, "");

  StripedLanes near(3);
  near.verbs.SetPort({"a1"}, false);
  near.verbs.SetPort({"a2"}, false);
  const auto nearby = near.Dial(near.a);
  EXPECT_THAT(near.sender->missing(), HasSubstr("a1 port 1 is down"));
  EXPECT_THAT(near.sender->missing(), HasSubstr("; another is not used: a2 port 1 is down"));
  EXPECT_FALSE(nearby.parallel[0] || nearby.parallel[1]);
}

TEST(StripesSetUp, AReceiverThatKnowsOneLinkUsesOne) {
  StripedLanes lanes(2);
  auto offer = lanes.Dial(lanes.a);
  offer.parallel.clear();
  const auto answer = lanes.Answer({lanes.b[0]}, offer);
  ASSERT_TRUE(lanes.sender_connected(answer));
  ExpectCarries(lanes, {lanes.a[0]}, {lanes.b[0]}, "");
}

TEST(StripesSetUp, AnAnswerForWhatWasNotOfferedIsRefused) {
  StripedLanes lanes(2);
  auto answer = lanes.Answer(lanes.b, lanes.Dial(lanes.a));
  answer.parallel.push_back(answer.parallel[0]);
  Status refused = lanes.sender_connected(answer);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().what, HasSubstr("more links than were offered"));

  StripedLanes other(2);
  answer = other.Answer({other.b[0], nullptr}, other.Dial({other.a[0], nullptr}));
  answer.parallel[0] = answer.first;
  refused = other.sender_connected(answer);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().what, HasSubstr("that was not offered"));

  StripedLanes third(2);
  answer = third.Answer(third.b, third.Dial(third.a));
  answer.parallel[0]->endpoint.chosen = 31;
  refused = third.sender_connected(answer);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().what, HasSubstr("addresses for RDMA that neither side has"));
}

TEST(StripesSetUp, AnOfferForMoreLinksThanThePathHasIsRefused) {
  StripedLanes lanes(2);
  const auto offer = lanes.Dial(lanes.a);
  const DirectRecvLane::Link only{lanes.b[0]};
  auto made = DirectRecvLane::Make({&only, 1}, offer, std::chrono::seconds(10));
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().what, HasSubstr("more links than its path has"));
}

TEST(StripesSetUp, WithoutADescriptorToSleepOnThereIsNoLane) {
  RELAY_RUNS_OUT_OF_DESCRIPTORS;
  StripedLanes lanes(2);
  const auto answer = lanes.Answer(lanes.b, lanes.Dial(lanes.a));
  fake::NoDescriptors none;
  const Status refused = lanes.sender_connected(answer);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().sys_errno, EMFILE);
  EXPECT_THAT(refused.error().what, HasSubstr("no descriptor for the completions of parallel links"));
}

// --- A sender that breaks the protocol.

struct Hostile {
  Hostile() {
    verbs.AddLink("a0", "b0");
    verbs.AddLink("a1", "b1");
    for (size_t i : {0u, 1u}) {
      ends.push_back(fake::OpenEnd(verbs, "a" + std::to_string(i)));
      devices.push_back(fake::OpenDevice(verbs, "b" + std::to_string(i)));
    }
    news = fake::MakeBuffer(*ends[0].device, kMaxRequests * kCtsEntryBytes);
    LaneOffer offer{.first = {.endpoint = ends[0].pair->near(), .window = {news.remote().address, news.remote().key}}};
    offer.parallel.push_back(HopOffer{.endpoint = ends[1].pair->near()});
    std::vector<DirectRecvLane::Link> links{{devices[0]}, {devices[1]}};
    receiver = DirectRecvLane::Make(links, offer, std::chrono::seconds(10)).value();
    Connect(0, receiver->offers().first.endpoint);
    Connect(1, receiver->offers().parallel[0]->endpoint);
  }
  void Connect(size_t stripe, const Endpoint& far) {
    ASSERT_TRUE(ends[stripe].pair->Connect(far, {far.chosen, far.own}));
  }
  void Announce(uint64_t size) {
    ASSERT_TRUE(*receiver->Announce(RegisteredOnAll(devices, 64).buffer(size)) && receiver->Ring());
  }
  void Say(size_t stripe, uint32_t size) {
    ends[stripe].pair->Write({}, {}, 0, {.immediate = size});
    ASSERT_TRUE(ends[stripe].pair->Ring());
  }

  fake::FakeVerbs verbs;
  fake::Buffer news;
  std::vector<fake::End> ends;
  fake::Devices devices;
  std::unique_ptr<DirectRecvLane> receiver;
};

TEST(StripesHostile, SizesThatDisagreeEndTheLane) {
  Hostile peer;
  peer.Announce(200000);
  peer.Say(0, 100000);
  EXPECT_FALSE(*peer.receiver->NextWhole());
  peer.Say(1, 99999);
  auto whole = peer.receiver->NextWhole();
  ASSERT_FALSE(whole);
  EXPECT_EQ(whole.error().code, ErrorCode::kRemote);
  EXPECT_THAT(whole.error().what, HasSubstr("100000 bytes over b0 and 99999 over b1"));
}

TEST(StripesHostile, OneMessageTooManyEndsTheLane) {
  Hostile peer;
  peer.Announce(64);
  peer.Announce(64);
  peer.Say(0, 5);
  peer.Say(1, 6);
  EXPECT_EQ(*peer.receiver->NextWhole(), 5U);
  EXPECT_EQ(*peer.receiver->NextWhole(), 6U);
  peer.Say(0, 7);  // into the receive that the second message has left on this link
  auto whole = peer.receiver->NextWhole();
  ASSERT_FALSE(whole);
  EXPECT_THAT(whole.error().what, HasSubstr("over b0 came a message without its size, or one too many"));
}

TEST(StripesHostile, AMessageOnTheWrongLinkIsOfNoUse) {
  Hostile peer;
  peer.Announce(64);
  peer.Say(1, 64);
  EXPECT_FALSE(*peer.receiver->NextWhole());
  peer.Say(1, 64);  // finds no receive
  EXPECT_EQ(peer.verbs.traffic().receiver_not_ready, 1U);
}

}  // namespace
}  // namespace relay::transport::rdma::stripes
