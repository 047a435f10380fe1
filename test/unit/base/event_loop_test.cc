#include "base/event_loop.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "fake/manual_clock.h"

namespace relay {
namespace {

TEST(EventLoop, TimersRunInOrderWhenTheirTimeHasCome) {
  fake::ManualClock clock;
  EventLoop loop(clock);
  std::string order;
  loop.After(std::chrono::seconds(2), [&] { order += "b"; });
  loop.After(std::chrono::seconds(1), [&] { order += "a"; });
  auto never = loop.After(std::chrono::seconds(1), [&] { order += "x"; });
  loop.Cancel(never);
  loop.RunOnce(Duration::zero());
  EXPECT_EQ(order, "");
  clock.Advance(std::chrono::seconds(3));
  loop.RunOnce(Duration::zero());
  EXPECT_EQ(order, "ab");
}

TEST(EventLoop, ACallbackMayForgetItselfAndOthers) {
  fake::ManualClock clock;
  EventLoop loop(clock);
  int fds[2];
  ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
  Fd a(fds[0]), b(fds[1]);
  ASSERT_EQ(1, ::write(a.get(), "x", 1));
  ASSERT_EQ(1, ::write(b.get(), "x", 1));
  int runs = 0;
  auto forget_both = [&](uint32_t) {
    ++runs;
    loop.Forget(a.get());
    loop.Forget(b.get());
  };
  ASSERT_TRUE(loop.Watch(a.get(), EPOLLIN, forget_both));
  ASSERT_TRUE(loop.Watch(b.get(), EPOLLIN, forget_both));
  loop.RunOnce(Duration::zero());
  loop.RunOnce(Duration::zero());
  EXPECT_EQ(runs, 1);
}

TEST(EventLoop, PollersRunInTurnUntilTheyEndAndTheLoopDoesNotSleep) {
  fake::ManualClock clock;
  EventLoop loop(clock);
  int first = 0, second = 0;
  EventLoop::PollerId one = 0, two = 0;
  one = loop.Poll([&] {
    if (++first == 3) loop.StopPolling(one);
  });
  two = loop.Poll([&] { ++second; });
  loop.RunOnce(std::chrono::hours(1));
  EXPECT_EQ(first, 3);
  EXPECT_GE(second, 3) << "nobody is left out while another ends";
  const int before = second;
  loop.RunOnce(std::chrono::hours(1));
  EXPECT_GT(second, before);
  loop.StopPolling(two);
  const int last = second;
  loop.RunOnce(Duration::zero());
  EXPECT_EQ(second, last);
}

TEST(EventLoop, APollerMayEndAnotherAndBeginOne) {
  fake::ManualClock clock;
  EventLoop loop(clock);
  int other = 0, begun = 0;
  EventLoop::PollerId it = 0, self = 0;
  self = loop.Poll([&] {
    loop.StopPolling(it);
    loop.StopPolling(self);
    loop.Poll([&] { ++begun; });
  });
  it = loop.Poll([&] { ++other; });
  loop.RunOnce(std::chrono::hours(1));
  EXPECT_EQ(other, 0);
  EXPECT_GT(begun, 0);
}

}  // namespace
}  // namespace relay
