#include "perf/signs.h"

#include <gtest/gtest.h>

namespace relay::perf {
namespace {

using std::chrono::milliseconds;

const Signs::TimePoint kStart{std::chrono::hours(1)};

TEST(PerfSigns, ARankThatLooksOftenGivesEnoughOfThemForOneThatWaits) {
  for (const milliseconds limit : {milliseconds(300), milliseconds(1500), milliseconds(60000)}) {
    Signs working(limit), waiting(limit);
    waiting.Await(1, kStart);
    size_t given = 0;
    for (auto now = kStart; now < kStart + 20 * limit; now += milliseconds(10)) {
      if (working.Due(now)) {
        waiting.Heard(0, now);
        ++given;
      }
      ASSERT_FALSE(waiting.Silent(0, now)) << limit.count();
    }
    EXPECT_LE(given, 20 * limit / working.interval() + 1) << "one look is not always a sign";
  }
}

TEST(PerfSigns, TheFirstLookOwesOne) {
  Signs signs(milliseconds(400));
  EXPECT_TRUE(signs.Due(kStart));
  EXPECT_FALSE(signs.Due(kStart + milliseconds(99)));
  EXPECT_TRUE(signs.Due(kStart + milliseconds(100)));
}

TEST(PerfSigns, WhoeverSaysNothingForTheLimitIsSilent) {
  Signs signs(milliseconds(300));
  signs.Await(2, kStart);
  signs.Heard(1, kStart + milliseconds(100));
  EXPECT_FALSE(signs.Silent(0, kStart + milliseconds(299)));
  EXPECT_TRUE(signs.Silent(0, kStart + milliseconds(300)));
  EXPECT_FALSE(signs.Silent(1, kStart + milliseconds(399)));
  EXPECT_TRUE(signs.Silent(1, kStart + milliseconds(400)));
  signs.Await(2, kStart + milliseconds(1000));
  EXPECT_FALSE(signs.Silent(0, kStart + milliseconds(1000))) << "another exchange has begun";
}

}  // namespace
}  // namespace relay::perf
