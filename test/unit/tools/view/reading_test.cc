#include "view/reading.h"

#include <gtest/gtest.h>

#include <string>

namespace relay::view {
namespace {

TEST(Reading, TakesAnythingWithoutHarm) {
  for (const char* bad : {"", "{", "[]", "null", "{}", "{\"name\":1}", "\"x\"", "{\"name\":\"\"}"}) {
    EXPECT_FALSE(ParseReading(bad)) << bad;
  }
  EXPECT_FALSE(ParseSurvey("{}"));
  EXPECT_EQ(ParseSurvey("[1,{},{\"name\":\"A\"},[]]")->size(), 1u);
  const auto odd = ParseReading(
      "{\"name\":\"A\",\"ports\":{\"a\":1},\"circuits\":[3,{\"hops\":[null,{\"rtt_us\":-4}]}],\"monotonic_ns\":1.5}");
  ASSERT_TRUE(odd) << odd.error().what;
  EXPECT_TRUE(odd->ports.empty());
  EXPECT_EQ(odd->circuits.size(), 2u);
  EXPECT_EQ(odd->circuits[1].hops.size(), 2u);
  EXPECT_EQ(odd->circuits[1].hops[1].rtt_us, 0u);
  const std::string deep = "{\"name\":\"A\",\"x\":" + std::string(100000, '[') + std::string(100000, ']') + "}";
  EXPECT_TRUE(ParseReading(deep));
}

}  // namespace
}  // namespace relay::view
