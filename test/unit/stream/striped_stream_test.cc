// Connections whose messages several devices move at once: both ends over one socketpair and devices made of code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "fake/stream_pair.h"
#include "fake/striped_pair.h"

namespace relay::stream::striped_stream {
namespace {

using fake::RegisteredOnAll;
using testing::HasSubstr;

struct Pair {
  explicit Pair(size_t links) : lanes(links) {
    lanes.Connect();
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) std::abort();
    const auto circuit = [&](int fd) {
      return std::make_unique<circuit::Circuit>(transport::AdoptSocket(fd), CircuitName{7, 0, 0}, "A ab--ba B",
                                                counters);
    };
    sender = fake::MakeSender(circuit(fds[0]), std::move(lanes.sender), fake::Options(), counters);
    receiver = fake::MakeReceiver(circuit(fds[1]), std::move(lanes.receiver), fake::Options(), counters);
  }
  static Request* Post(Stream& stream, RegisteredOnAll& memory, size_t size) {
    const auto b = memory.buffer(size);
    auto r = stream.Post({b.data, size, nullptr, b.keys}, false);
    EXPECT_TRUE(r) << (r ? "" : r.error().what);
    return r ? *r : nullptr;
  }
  void Attend() {
    auto nothing = [](const Attention&) {};
    for (Stream* stream : {static_cast<Stream*>(sender.get()), static_cast<Stream*>(receiver.get())}) {
      stream->Attend(TimePoint{std::chrono::hours(1)}, false, nothing);
    }
  }
  // Until it is done or the patience is over; the error's sentence, or empty.
  std::string Finish(Request* request, int patience = 1000) {
    uint64_t bytes = 0;
    for (int i = 0; i < patience; ++i) {
      auto progress = request->stream->Test(*request, bytes);
      if (!progress) return progress.error().what;
      if (*progress == Progress::kDone) return "";
      Attend();
    }
    return "not yet";
  }

  Counters counters;
  fake::StripedLanes lanes;
  std::shared_ptr<SendStream> sender;
  std::shared_ptr<RecvStream> receiver;
};

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
  EXPECT_EQ(pair.Finish(r, 10), "not yet");
  EXPECT_EQ(pair.Finish(s, 10), "not yet");
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
  EXPECT_NE(pair.Finish(r), "not yet");
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
