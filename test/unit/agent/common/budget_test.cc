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

}  // namespace
}  // namespace relay::agent::budget
