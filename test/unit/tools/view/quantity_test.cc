#include "view/quantity.h"

#include <gtest/gtest.h>

namespace relay::view {
namespace {

TEST(Quantity, HasThreeDigitsAndAUnit) {
  EXPECT_EQ(RateText(0), "0");
  EXPECT_EQ(RateText(0.4), "0");
  EXPECT_EQ(RateText(999), "999 bit/s");
  EXPECT_EQ(RateText(999.7e3), "1 Mbit/s");
  EXPECT_EQ(RateText(940.4e6), "940 Mbit/s");
  EXPECT_EQ(RateText(9.412e9), "9.41 Gbit/s");
  EXPECT_EQ(RateText(-5), "0");
  EXPECT_EQ(SpeedText(0), "unknown speed");
  EXPECT_EQ(SpeedText(2500), "2.5 Gbit/s");
  EXPECT_EQ(SpeedText(400000), "400 Gbit/s");
  EXPECT_EQ(BytesText(17), "17 B");
  EXPECT_EQ(BytesText(1180000000), "1.18 GB");
  EXPECT_EQ(BytesText(UINT64_MAX), "1.84e+04 PB");
  EXPECT_EQ(AgeText(340), "0.3 s");
  EXPECT_EQ(AgeText(59999), "59 s");
  EXPECT_EQ(AgeText(185000), "3 min 5 s");
  EXPECT_EQ(AgeText(7800000), "2 h 10 min");
  EXPECT_EQ(AgeText(443000000), "5 d 3 h");
  EXPECT_EQ(MicrosText(0), "-");
  EXPECT_EQ(MicrosText(999), "999 us");
  EXPECT_EQ(MicrosText(1234), "1.23 ms");
}

}  // namespace
}  // namespace relay::view
