#include "stream/service_thread.h"

#include <gtest/gtest.h>

#include "fake/stream_pair.h"

namespace relay::stream {
namespace {

using fake::Pattern;
using fake::StreamPair;

// Polls, because the other side of the condition is the service's own thread.
template <class Condition>
bool Within(std::chrono::seconds longest, Condition condition) {
  auto deadline = std::chrono::steady_clock::now() + longest;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

struct Served : StreamPair {
  Served() {
    EXPECT_TRUE(service.Start());
    for (std::shared_ptr<Stream> s : {std::shared_ptr<Stream>(sender), std::shared_ptr<Stream>(receiver)}) {
      s->handover().set_service(&service);
      service.Add(s);
    }
  }
  SystemClock clock;
  ServiceThread service{clock, std::chrono::milliseconds(50)};
};

TEST(ServiceThread, DrivesAConnectionThatNcclLeavesAlone) {
  Served pair;
  auto out = Pattern(5 << 20, 1);
  std::vector<std::byte> in(out.size());
  auto* recv = StreamPair::Post(*pair.receiver, in.data(), in.size());
  StreamPair::Post(*pair.sender, out.data(), out.size());
  // Nobody tests: only the service can move the bytes and the acknowledgement.
  EXPECT_TRUE(Within(std::chrono::seconds(20), [&] { return pair.send_counters.messages_sent == 1; }));
  EXPECT_TRUE(StreamPair::Done(recv));
  EXPECT_EQ(in, out);
}

TEST(ServiceThread, AndNcclMayBothDrive) {
  Served pair;
  std::vector<std::byte> in(4096), out(4096);
  for (int i = 0; i < 300; ++i) {
    auto* recv = StreamPair::Post(*pair.receiver, in.data(), in.size());
    auto* send = StreamPair::Post(*pair.sender, out.data(), out.size());
    ASSERT_TRUE(Within(std::chrono::seconds(20), [&] { return StreamPair::Done(recv); }));
    ASSERT_TRUE(Within(std::chrono::seconds(20), [&] { return StreamPair::Done(send); }));
  }
}

TEST(ServiceThread, DrainWaitsForRemnantsAndNoLonger) {
  Served pair;
  EXPECT_FALSE(pair.service.Drain(std::chrono::milliseconds(1))) << "nothing is closed yet";
  pair.receiver->Close();
  pair.sender->Close();
  EXPECT_TRUE(pair.service.Drain(std::chrono::seconds(20)));
}

TEST(ServiceThread, ARemnantWhosePeerNeverAnswersEndsAtItsDeadline) {
  SystemClock clock;
  ServiceThread service(clock, std::chrono::milliseconds(20));
  ASSERT_TRUE(service.Start());
  StreamOptions options = fake::Options();
  options.linger = std::chrono::milliseconds(200);
  StreamPair pair(options);
  pair.sender->handover().set_service(&service);
  service.Add(pair.sender);
  pair.sender->Close();
  EXPECT_TRUE(service.Drain(std::chrono::seconds(20)));
}

TEST(ServiceThread, WatchedDescriptorsAndTimesRunTheirCallbacks) {
  SystemClock clock;
  ServiceThread service(clock, std::chrono::milliseconds(10));
  ASSERT_TRUE(service.Start());
  int fds[2];
  ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds));
  Fd a(fds[0]), b(fds[1]);
  std::atomic<int> readable{0}, timed{0};
  service.WatchFd(a.get(), [&] {
    char c;
    if (::read(a.get(), &c, 1) == 1) ++readable;
  });
  ASSERT_EQ(1, ::write(b.get(), "x", 1));
  service.WatchTime([&] { ++timed; });
  EXPECT_TRUE(Within(std::chrono::seconds(20), [&] { return readable == 1 && timed == 1; }));
  service.Stop();  // before what its callbacks use goes out of scope
}

}  // namespace
}  // namespace relay::stream
