// Connections whose messages several devices move at once: both ends over one socketpair and devices made of code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fake/lane_stream_pair.h"
#include "fake/striped_pair.h"

namespace relay::stream::striped_stream {
namespace {

using fake::RegisteredOnAll;
using testing::AllOf;
using testing::HasSubstr;
using testing::Ne;

struct Joined : fake::StripedLanes {
  explicit Joined(size_t links) : StripedLanes(links) { Connect(); }
};
using Pair = fake::LaneStreamPair<Joined>;

TEST(StripedStream, MessagesOfEverySizeArriveOverAllLinks) {
  for (size_t links : {2u, 3u, 4u}) {
    Pair pair(links);
    for (size_t size : {0u, 1u, 65535u, 65536u, 1000001u, 100u}) {
      RegisteredOnAll from(pair.lanes.a, size), to(pair.lanes.b, size);
      const auto pattern = fake::Pattern(from.bytes.size(), 5);
      std::copy(pattern.begin(), pattern.end(), from.bytes.begin());
      Request* r = Pair::Post(*pair.receiver, to, size);
      Request* s = Pair::Post(*pair.sender, from, size);
      EXPECT_EQ(pair.Finish(r), "") << size;
      EXPECT_EQ(pair.Finish(s), "") << size;
      EXPECT_TRUE(size == 0 || to.bytes == from.bytes) << size;
    }
    EXPECT_EQ(pair.lanes.verbs.traffic().receiver_not_ready, 0U);
    EXPECT_EQ(pair.counters.rdma_bytes_received, 1131173U);
  }
}

TEST(StripedStream, ARequestIsNotDoneWhileOneDeviceHoldsItsPart) {
  Pair pair(2);
  RegisteredOnAll from(pair.lanes.a, 200000), to(pair.lanes.b, 200000);
  pair.Attend();
  pair.lanes.verbs.Hold("a1", true);
  Request* r = Pair::Post(*pair.receiver, to, 200000);
  Request* s = Pair::Post(*pair.sender, from, 200000);
  EXPECT_EQ(pair.Finish(r, 10), Pair::kNotYet);
  EXPECT_EQ(pair.Finish(s, 10), Pair::kNotYet);
  pair.lanes.verbs.Hold("a1", false);
  EXPECT_EQ(pair.Finish(r), "");
  EXPECT_EQ(pair.Finish(s), "");
}

TEST(StripedStream, ALinkThatFailsEndsTheConnectionAndIsNamed) {
  Pair pair(2);
  RegisteredOnAll from(pair.lanes.a, 200000), to(pair.lanes.b, 200000);
  pair.Attend();
  pair.lanes.verbs.Cut({"a1"});
  Request* r = Pair::Post(*pair.receiver, to, 200000);
  Request* s = Pair::Post(*pair.sender, from, 200000);
  EXPECT_THAT(pair.Finish(s), HasSubstr("a1 port 1"));
  EXPECT_THAT(pair.Finish(r), AllOf(Ne(""), Ne(Pair::kNotYet)));
  pair.Attend();
  EXPECT_EQ(pair.lanes.verbs.live().queue_pairs, 0U);
}

TEST(StripedStream, ThirtyTwoRequestsEachWayOverAndOver) {
  Pair pair(2);
  RegisteredOnAll from(pair.lanes.a, 70000), to(pair.lanes.b, 70000);
  for (int round = 0; round < 5; ++round) {
    std::vector<Request*> all;
    for (uint64_t i = 0; i < kMaxRequests; ++i) all.push_back(Pair::Post(*pair.receiver, to, 70000));
    for (uint64_t i = 0; i < kMaxRequests; ++i) all.push_back(Pair::Post(*pair.sender, from, i % 3 == 0 ? 70000 : i));
    for (Request* r : all) EXPECT_EQ(pair.Finish(r), "");
  }
  EXPECT_EQ(pair.lanes.verbs.traffic().receiver_not_ready, 0U);
}

}  // namespace
}  // namespace relay::stream::striped_stream
