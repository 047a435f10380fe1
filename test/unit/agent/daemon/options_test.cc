#include "agent/daemon/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace relay::agent::options {
namespace {

using testing::HasSubstr;

TEST(Arguments, AreReadAndWrongOnesAreNamed) {
  auto parse = [](std::vector<std::string> words) {
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    return ParseArguments(static_cast<int>(argv.size()), argv.data());
  };
  auto good = parse({"agent", "--auto", "--status-fd", "3"});
  ASSERT_TRUE(good);
  EXPECT_TRUE(good->auto_started);
  EXPECT_EQ(good->status_fd, 3);
  for (const char* bad : {"2", "x", "3x", ""}) EXPECT_FALSE(parse({"agent", "--status-fd", bad})) << bad;
  EXPECT_FALSE(parse({"agent", "--status-fd"}));
  auto unknown = parse({"agent", "--verbose"});
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().what, HasSubstr("--verbose"));
}

}  // namespace
}  // namespace relay::agent::options
