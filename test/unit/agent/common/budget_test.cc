#include "agent/common/budget.h"

#include <gtest/gtest.h>

namespace relay::agent::budget {
namespace {

TEST(BudgetLease, GivesBackWhatItTook) {
  Budget budget(10);
  {
    auto six = budget.Take(6);
    ASSERT_TRUE(six);
    EXPECT_FALSE(budget.Take(5));
    Budget::Lease moved = std::move(*six);
    EXPECT_EQ(budget.used(), 6u);
    EXPECT_TRUE(budget.Take(4));
  }
  EXPECT_EQ(budget.used(), 0u);
}

TEST(BudgetLease, LeavesWhatIsForOthers) {
  Budget budget(10);
  const auto most = budget.TakeLeaving(7, 3);
  ASSERT_TRUE(most);
  EXPECT_FALSE(budget.TakeLeaving(1, 3)) << "there is room, but not for this";
  EXPECT_TRUE(budget.Take(3));
}

}  // namespace
}  // namespace relay::agent::budget
