#include "agent/node/link_history.h"

#include <gtest/gtest.h>

namespace relay::agent::link_history {
namespace {

TEST(LinkHistory, KeepsTheLastOfEachLinkThatIsDownAndForgetsTheOldestFirst) {
  LinkHistory history;
  const TimePoint start{std::chrono::hours(1)};
  const auto link = [](NodeId a) { return fabric::LinkName{a, "x", a + 1, "y"}; };
  history.Note(link(1), {"A-B (A/x to B/y)", "no carrier", start});
  history.Note(link(1), {"A-B (A/x to B/y)", "the agent of B ended", start + std::chrono::seconds(2)});
  ASSERT_NE(history.Find(link(1)), nullptr);
  EXPECT_EQ(DownText(*history.Find(link(1))), "link A-B (A/x to B/y) is down: the agent of B ended");
  EXPECT_EQ(LastText(history.Find(link(1)), start + std::chrono::seconds(14)),
            "; the last of link A-B: the agent of B ended, 12 s ago");
  history.Forget(link(1));
  EXPECT_EQ(history.Find(link(1)), nullptr);
  EXPECT_EQ(LastText(nullptr, start), "");
  for (NodeId i = 1; i <= LinkHistory::kMost + 10; ++i) history.Note(link(i), {"l", "w", start});
  EXPECT_EQ(history.size(), LinkHistory::kMost);
  EXPECT_EQ(history.Find(link(10)), nullptr);
  EXPECT_NE(history.Find(link(11)), nullptr);
}

TEST(LinkHistory, SaysHowALinkEnded) {
  using Cause = Loss::Cause;
  EXPECT_EQ(LossText({Cause::kPort, "bc is down or has no carrier", {}}, "C"), "no carrier");
  EXPECT_EQ(LossText({Cause::kPort, "bc is gone", {}}, "C"), "bc is gone");
  EXPECT_EQ(LossText({Cause::kHostSilent, "", std::chrono::milliseconds(3500)}, "C"),
            "node C has been silent for 3.5 s");
  EXPECT_EQ(LossText({Cause::kHostSilent, "the line broke: Connection timed out", {}}, "C"),
            "node C is silent (the line broke: Connection timed out)");
  EXPECT_EQ(LossText({Cause::kEnded, "its agent has hung up", {}}, "C"), "the agent of C ended");
  EXPECT_EQ(LossText({Cause::kOther, "C/cb no longer hears bc", {}}, "C"), "C/cb no longer hears bc");
}

}  // namespace
}  // namespace relay::agent::link_history
