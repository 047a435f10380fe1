#include <gtest/gtest.h>

#include "perf/gap.h"

namespace relay::perf {
namespace {

using std::chrono::milliseconds;

TEST(PerfGap, IsTheLongestTimeWithoutACompletionWhileSomethingWasOutstanding) {
  GapMeter gap;
  const GapMeter::Clock::time_point start{};
  gap.Posted(start);
  gap.Posted(start + milliseconds(5));  // changes nothing: the first still waits
  gap.Completed(start + milliseconds(20));
  EXPECT_EQ(gap.longest(), milliseconds(20));
  gap.Completed(start + milliseconds(50));
  EXPECT_EQ(gap.longest(), milliseconds(30)) << "since the completion before";
}

TEST(PerfGap, RestIsNoGap) {
  GapMeter gap;
  const GapMeter::Clock::time_point start{};
  gap.Posted(start);
  gap.Completed(start + milliseconds(1));
  gap.Posted(start + milliseconds(1000));
  gap.Completed(start + milliseconds(1003));
  EXPECT_EQ(gap.longest(), milliseconds(3));
}

}  // namespace
}  // namespace relay::perf
