#include "comm/opening/near_link.h"

#include <gtest/gtest.h>

namespace relay::comm {
namespace {

TEST(NearLink, EachEndNamesItsOwnPortFirst) {
  const std::vector<RouteHop> route = {{1, 2, "ab", "ba"}, {2, 3, "bc", "cb"}, {3, 4, "cd", "dc"}};
  EXPECT_EQ(NearLink("A", route, RouteEnd::kSource), "A ab--ba");
  EXPECT_EQ(NearLink("D", route, RouteEnd::kDestination), "D dc--cd");
}

TEST(NearLink, ADirectPathIsTheSameLinkFromBothEnds) {
  const std::vector<RouteHop> route = {{1, 2, "ab", "ba"}};
  EXPECT_EQ(NearLink("A", route, RouteEnd::kSource), "A ab--ba");
  EXPECT_EQ(NearLink("B", route, RouteEnd::kDestination), "B ba--ab");
}

TEST(NearLink, WithoutALinkItIsTheNode) {
  EXPECT_EQ(NearLink("A", {}, RouteEnd::kSource), "A");
  EXPECT_EQ(NearLink("A", {}, RouteEnd::kDestination), "A");
}

}  // namespace
}  // namespace relay::comm
