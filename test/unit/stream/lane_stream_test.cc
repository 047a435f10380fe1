// Connections whose messages a device moves: both ends over one socketpair and two devices made of code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fake/lane_pair.h"
#include "fake/lane_stream_pair.h"

namespace relay::stream::lane_stream {
namespace {

using fake::Registered;
using testing::AllOf;
using testing::HasSubstr;
using testing::Ne;

using Pair = fake::LaneStreamPair<fake::DirectLanes>;

const TimePoint kNow{std::chrono::hours(1)};

TEST(LaneStream, MessagesArriveInOrderWithTheirSizes) {
  Pair pair;
  for (size_t size : {0u, 1u, 4096u, 1000000u}) {
    Registered from(*pair.lanes.a, size), to(*pair.lanes.b, size + 100);
    const auto pattern = fake::Pattern(from.bytes.size(), 5);
    std::copy(pattern.begin(), pattern.end(), from.bytes.begin());  // where it was registered
    Request* r = Pair::Post(*pair.receiver, to, size + 100);
    Request* s = Pair::Post(*pair.sender, from, size);
    const auto received = pair.Await(r);
    EXPECT_EQ(received.error, "");
    EXPECT_EQ(received.size, size);
    EXPECT_EQ(pair.Finish(s), "");
    EXPECT_TRUE(std::equal(from.bytes.begin(), from.bytes.begin() + static_cast<ptrdiff_t>(size), to.bytes.begin()));
  }
  EXPECT_EQ(pair.counters.rdma_bytes_sent, 1004097U);
  EXPECT_EQ(pair.counters.rdma_bytes_received, 1004097U);
  EXPECT_EQ(pair.counters.bytes_sent, 0U) << "nothing goes over the socket";
}

TEST(LaneStream, NothingIsAnnouncedBeforeTheSenderIsReady) {
  Pair pair;
  Registered to(*pair.lanes.b, 64);
  Pair::Post(*pair.receiver, to, 64);
  auto nothing = [](const Attention&) {};
  pair.receiver->Attend(kNow, false, nothing);
  EXPECT_EQ(pair.lanes.verbs.traffic().writes, 0U);
  pair.sender->Attend(kNow, false, nothing);  // says so
  pair.receiver->Attend(kNow, false, nothing);
  EXPECT_EQ(pair.lanes.verbs.traffic().writes, 1U);
}

TEST(LaneStream, ThirtyTwoRequestsEachWay) {
  Pair pair;
  Registered from(*pair.lanes.a, 64 * kMaxRequests), to(*pair.lanes.b, 64 * kMaxRequests);
  std::vector<Request*> all;
  for (uint64_t i = 0; i < kMaxRequests; ++i) all.push_back(Pair::Post(*pair.receiver, to, 64));
  for (uint64_t i = 0; i < kMaxRequests; ++i) all.push_back(Pair::Post(*pair.sender, from, 64));
  EXPECT_EQ(Pair::Post(*pair.receiver, to, 64), nullptr);
  for (Request* r : all) EXPECT_EQ(pair.Finish(r), "");
}

TEST(LaneStream, AMessageThatDoesNotFitIsTheUsersFault) {
  Pair pair;
  Registered from(*pair.lanes.a, 128), to(*pair.lanes.b, 64);
  Request* r = Pair::Post(*pair.receiver, to, 64);
  Request* s = Pair::Post(*pair.sender, from, 128);
  EXPECT_THAT(pair.Finish(s), HasSubstr("disagree about the size"));
  EXPECT_THAT(pair.Finish(r), AllOf(Ne(""), Ne(Pair::kNotYet)));
}

TEST(LaneStream, ClosedOnBothSidesNothingIsLeft) {
  Pair pair;
  Registered from(*pair.lanes.a, 64), to(*pair.lanes.b, 64);
  Request* r = Pair::Post(*pair.receiver, to, 64);
  Request* s = Pair::Post(*pair.sender, from, 64);
  EXPECT_EQ(pair.Finish(r), "");
  EXPECT_EQ(pair.Finish(s), "");
  pair.receiver->Close();
  pair.Attend();
  pair.sender->Close();
  for (int i = 0; i < 10; ++i) pair.Attend();
  EXPECT_TRUE(pair.sender_left.finished);
  EXPECT_TRUE(pair.receiver_left.finished);
  EXPECT_EQ(pair.lanes.verbs.live().queue_pairs, 0U);
}

// The receiver is done, and says so over the socket, before the sender's device has reported the last write.
TEST(LaneStream, ACloseThatOvertakesTheDeviceIsNoFailure) {
  Pair pair;
  Registered from(*pair.lanes.a, 64), to(*pair.lanes.b, 64);
  pair.Attend();
  Request* r = Pair::Post(*pair.receiver, to, 64);
  Request* s = Pair::Post(*pair.sender, from, 64);
  EXPECT_EQ(pair.Finish(r), "");
  pair.receiver->Close();
  EXPECT_EQ(pair.Finish(s), "");
}

TEST(LaneStream, ACloseBeforeTheLastMessageIsAFailure) {
  Pair pair;
  Registered from(*pair.lanes.a, 64);
  pair.Attend();
  Request* s = Pair::Post(*pair.sender, from, 64);
  pair.receiver->Close();
  EXPECT_THAT(pair.Finish(s), HasSubstr("unfinished"));
}

TEST(LaneStream, APeerThatDiesIsNoticedByTheSocket) {
  Pair pair;
  Registered to(*pair.lanes.b, 64);
  Request* r = Pair::Post(*pair.receiver, to, 64);
  pair.Attend();
  pair.sender.reset();
  auto nothing = [](const Attention&) {};
  pair.receiver->Attend(kNow, false, nothing);
  uint64_t size = 0;
  EXPECT_FALSE(r->stream->Test(*r, size));
  EXPECT_EQ(pair.lanes.verbs.live().queue_pairs, 0U);
}

TEST(LaneStream, DeregisteredMemoryIsNamedByNoDevice) {
  Pair pair;
  Registered to(*pair.lanes.b, 64);
  int region = 0;
  Request* r = Pair::Post(*pair.receiver, to, 64, &region);
  pair.Attend();
  pair.receiver->CancelRegion(&region);
  uint64_t size = 0;
  EXPECT_FALSE(r->stream->Test(*r, size));
  pair.Attend();
  EXPECT_EQ(pair.lanes.verbs.live().queue_pairs, 0U) << "the peer's end, too, was told";
}

TEST(LaneStream, ADeviceThatIsGoneEndsAConnectionThatWaits) {
  Pair pair;
  Registered to(*pair.lanes.b, 64);
  Request* r = Pair::Post(*pair.receiver, to, 64);
  pair.Attend();
  pair.lanes.verbs.RaisePortEvent({"b"}, IBV_EVENT_DEVICE_FATAL);
  EXPECT_THAT(pair.Finish(r), HasSubstr("RDMA device b is gone"));
}

TEST(LaneStream, APortThatIsDownForAMomentEndsNothing) {
  Pair pair;
  Registered from(*pair.lanes.a, 64), to(*pair.lanes.b, 64);
  Request* r = Pair::Post(*pair.receiver, to, 64);
  pair.Attend();
  pair.lanes.verbs.SetPort({"b"}, false);
  pair.Attend();
  pair.lanes.verbs.SetPort({"b"}, true);
  Request* s = Pair::Post(*pair.sender, from, 64);
  EXPECT_EQ(pair.Finish(s), "");
  EXPECT_EQ(pair.Finish(r), "");
}

TEST(LaneStream, EveryBadCompletionEndsInASentence) {
  for (int status = 1; status <= 22; ++status) {  // IBV_WC_LOC_LEN_ERR to IBV_WC_TM_ERR
    Pair pair;
    Registered from(*pair.lanes.a, 64), to(*pair.lanes.b, 64);
    Request* r = Pair::Post(*pair.receiver, to, 64);
    pair.Attend();
    const auto queue_pairs = pair.lanes.verbs.queue_pairs();
    for (uint32_t q : queue_pairs) pair.lanes.verbs.FailNext(q, static_cast<ibv_wc_status>(status));
    Request* s = Pair::Post(*pair.sender, from, 64);
    const std::string why = pair.Finish(s);
    EXPECT_THAT(why, HasSubstr("connection with peer")) << status;
    EXPECT_NE(why, Pair::kNotYet);
    EXPECT_THAT(pair.Finish(r), AllOf(Ne(""), Ne(Pair::kNotYet))) << status;
    pair.Attend();
    EXPECT_EQ(pair.lanes.verbs.live().queue_pairs, 0U) << status;
  }
}

}  // namespace
}  // namespace relay::stream::lane_stream
