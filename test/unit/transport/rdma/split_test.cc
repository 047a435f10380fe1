#include "transport/rdma/split.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <vector>

namespace relay::transport::rdma::split {
namespace {

TEST(Split, PartsFollowTheSpeedsAndTheirBoundaries) {
  const Split even(std::array<uint32_t, 2>{100, 100}), odd(std::array<uint32_t, 3>{200, 100, 100});
  EXPECT_EQ(even.End(0, 1 << 20), 1u << 19);
  EXPECT_EQ(even.End(1, 1 << 20), 1u << 20);
  EXPECT_EQ(odd.End(0, 1 << 20), 1u << 19);
  EXPECT_EQ(odd.Begin(2, 1 << 20), 3u << 18);
  EXPECT_EQ(Split(std::array<uint32_t, 2>{100, 0}).End(0, 1 << 20), 1u << 19) << "unknown: equal parts";
  EXPECT_EQ(Split(std::array<uint32_t, 1>{7}).End(0, 12345), 12345u);
  EXPECT_FALSE(IsSplit(1 << 20, 1));
  EXPECT_FALSE(IsSplit(kSplitBytes - 1, 2));
  EXPECT_TRUE(IsSplit(kSplitBytes, 2));
}

RC_GTEST_PROP(Split, PartsCoverAMessageOnceAndBeginAtAlignedPlaces, ()) {
  const auto speeds = *rc::gen::resize(4, rc::gen::nonEmpty(rc::gen::arbitrary<std::vector<uint32_t>>()));
  RC_PRE(speeds.size() <= kMaxStripes);
  const auto size = *rc::gen::inRange<uint64_t>(kSplitBytes, (uint64_t{1} << 30) + 1);
  const Split split(speeds);
  uint64_t at = 0;
  for (size_t i = 0; i < speeds.size(); ++i) {
    RC_ASSERT(split.Begin(i, size) == at);
    RC_ASSERT(at % kPartAlignment == 0U);
    RC_ASSERT(split.End(i, size) >= at);
    at = split.End(i, size);
  }
  RC_ASSERT(at == size);
}

}  // namespace
}  // namespace relay::transport::rdma::split
