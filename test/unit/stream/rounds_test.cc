#include <gtest/gtest.h>

#include "stream/rounds.h"

namespace relay::stream::rounds {
namespace {

using std::chrono::milliseconds;

constexpr TimePoint kNow{std::chrono::hours(1)};
constexpr Duration kHousekeeping = milliseconds(100);

TEST(Rounds, NothingWakesAServiceThatNobodyNeeds) {
  Rounds rounds(kHousekeeping);
  rounds.Settle(kNow, /*waits=*/false, /*soon=*/false);
  EXPECT_EQ(rounds.LongestSleep(kNow, /*looks=*/false), Duration::max());
}

TEST(Rounds, LooksAHundredTimesASecondWhileNcclDrives) {
  Rounds rounds(kHousekeeping);
  EXPECT_TRUE(rounds.LookIsDue(kNow));
  EXPECT_FALSE(rounds.LookIsDue(kNow + milliseconds(9)));
  EXPECT_EQ(rounds.LongestSleep(kNow + milliseconds(4), /*looks=*/true), milliseconds(6));
  EXPECT_EQ(rounds.LongestSleep(kNow + milliseconds(40), /*looks=*/true), Duration::zero()) << "it is late";
  EXPECT_TRUE(rounds.LookIsDue(kNow + milliseconds(10)));
}

TEST(Rounds, KeepsHouseAsOftenAsTimeMatters) {
  Rounds rounds(kHousekeeping);
  EXPECT_TRUE(rounds.HousekeepingIsDue(kNow));
  rounds.Settle(kNow, /*waits=*/true, /*soon=*/false);
  EXPECT_EQ(rounds.LongestSleep(kNow, /*looks=*/false), kHousekeeping);
  EXPECT_FALSE(rounds.HousekeepingIsDue(kNow + milliseconds(99)));
  rounds.Settle(kNow, /*waits=*/true, /*soon=*/true);
  EXPECT_EQ(rounds.LongestSleep(kNow, /*looks=*/false), milliseconds(20)) << "what was far off is near now";
  EXPECT_TRUE(rounds.HousekeepingIsDue(kNow + milliseconds(20)));
  EXPECT_TRUE(rounds.HousekeepingIsDue(kNow + milliseconds(40))) << "and stays near";
  rounds.Settle(kNow + milliseconds(40), /*waits=*/true, /*soon=*/false);
  EXPECT_TRUE(rounds.HousekeepingIsDue(kNow + milliseconds(60)));
  EXPECT_FALSE(rounds.HousekeepingIsDue(kNow + milliseconds(159)));
  EXPECT_TRUE(rounds.HousekeepingIsDue(kNow + milliseconds(160)));
}

}  // namespace
}  // namespace relay::stream::rounds
