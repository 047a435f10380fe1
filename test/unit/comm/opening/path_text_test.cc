#include "comm/opening/path_text.h"

#include <gtest/gtest.h>

namespace relay::comm {
namespace {

TEST(PathText, TheLinksAtBothEndsOfARelayedPath) {
  const std::string path = "A ab--ba B bc--cb C cd--dc D";
  EXPECT_EQ(FirstLink(path), "A ab--ba B");
  EXPECT_EQ(LastLink(path), "C cd--dc D");
}

TEST(PathText, ADirectPathIsItsOnlyLink) {
  EXPECT_EQ(FirstLink("A ab--ba B"), "A ab--ba B");
  EXPECT_EQ(LastLink("A ab--ba B"), "A ab--ba B");
}

TEST(PathText, APathToOneselfIsItself) {
  EXPECT_EQ(FirstLink("A"), "A");
  EXPECT_EQ(LastLink("A"), "A");
  EXPECT_EQ(LastLink(""), "");
}

}  // namespace
}  // namespace relay::comm
