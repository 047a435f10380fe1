#include "comm/opening/connect_machine.h"

#include <gtest/gtest.h>

namespace relay::comm {
namespace {

using State = ConnectMachine::State;
using Action = ConnectMachine::Action;
using std::chrono::milliseconds;
using std::chrono::seconds;

const TimePoint kStart{std::chrono::hours(1)};

TEST(ConnectMachine, AsksOnceAndReportsReady) {
  ConnectMachine m(seconds(30));
  EXPECT_EQ(m.Tick(kStart), Action::kAsk);
  EXPECT_EQ(m.Tick(kStart + seconds(1)), Action::kNone);
  EXPECT_EQ(m.OnConnected(), Action::kReportReady);
  EXPECT_EQ(m.Tick(kStart + seconds(100)), Action::kNone);
}

TEST(ConnectMachine, AsksAgainAfterATransientRefusalWithGrowingPauses) {
  ConnectMachine m(seconds(30));
  TimePoint now = kStart;
  int asks = 0;
  for (; now < kStart + seconds(10); now += milliseconds(1)) {
    if (m.Tick(now) != Action::kAsk) continue;
    ++asks;
    EXPECT_EQ(m.OnRefused(false, "parked", now), Action::kNone);
  }
  EXPECT_GT(asks, 15);
  EXPECT_LT(asks, 40) << "it must not hammer the agent";
}

TEST(ConnectMachine, AFinalRefusalIsNotAskedAgain) {
  ConnectMachine m(seconds(30));
  m.Tick(kStart);
  EXPECT_EQ(m.OnRefused(true, "B speaks another version", kStart), Action::kReportBroken);
  EXPECT_EQ(m.state(), State::kBroken);
  EXPECT_EQ(m.sentence(), "B speaks another version");
  EXPECT_EQ(m.Tick(kStart + seconds(1)), Action::kNone);
}

TEST(ConnectMachine, EndsAtItsDeadlineWithTheLastSentence) {
  ConnectMachine m(seconds(3));
  m.Tick(kStart);
  m.OnRefused(false, "no agent on B", kStart);
  Action last = Action::kNone;
  TimePoint now = kStart;
  for (; last != Action::kReportBroken && now < kStart + seconds(10); now += milliseconds(1)) {
    last = m.Tick(now);
    if (last == Action::kAsk) m.OnRefused(false, "no agent on B", now);
  }
  EXPECT_EQ(last, Action::kReportBroken);
  EXPECT_LE(now, kStart + seconds(3) + milliseconds(2));
  EXPECT_EQ(m.sentence(), "no agent on B");
}

TEST(ConnectMachine, EverySequenceOfEventsReportsAtMostOnceAndEnds) {
  constexpr int kEvents = 4, kLength = 6;
  for (int code = 0; code < 4096; ++code) {
    ConnectMachine m(milliseconds(100));
    int reports = 0;
    TimePoint now = kStart;
    for (int i = 0, c = code; i < kLength; ++i, c /= kEvents) {
      Action a = Action::kNone;
      switch (c % kEvents) {
        case 0:
          a = m.Tick(now += milliseconds(60));
          break;
        case 1:
          a = m.OnConnected();
          break;
        case 2:
          a = m.OnRefused(false, "t", now);
          break;
        default:
          a = m.OnRefused(true, "f", now);
          break;
      }
      reports += a == Action::kReportReady || a == Action::kReportBroken;
    }
    for (int i = 0; i < 5; ++i) reports += m.Tick(now += milliseconds(60)) == Action::kReportBroken;
    EXPECT_LE(reports, 1) << code;
    EXPECT_TRUE(m.state() == State::kReady || m.state() == State::kBroken) << code;
  }
}

}  // namespace
}  // namespace relay::comm
