#include "comm/opening/this_build.h"

#include <gtest/gtest.h>

namespace relay::comm {
namespace {

TEST(ThisBuild, NamesItsVersionItsBuildAndItsFile) {
  const ThisBuild& build = TheBuild();
  EXPECT_EQ(build.build.rfind(RELAY_VERSION, 0), 0u) << build.build;
  EXPECT_NE(build.file.find("unit_comm"), std::string::npos) << build.file;
}

TEST(ThisBuild, AProcessWithOneOfEachLibraryHasNothingToSay) { EXPECT_TRUE(DoubleLibraries().empty()); }

TEST(ThisBuild, TwoBuildsAreNamedWithNodeAndFile) {
  const ThisBuild own{"0.1.0-aa", "/opt/a.so"};
  EXPECT_EQ(BuildDiffers("A", own, {"B", "0.1.0-bb", "/opt/b.so"}),
            "the ranks run different builds of the plugin: A has 0.1.0-aa (/opt/a.so), B has 0.1.0-bb (/opt/b.so): "
            "install the same file on all nodes");
  EXPECT_EQ(BuildDiffers("A", own, {"B", "0.1.0-aa", "/elsewhere/a.so"}), "");
  EXPECT_EQ(BuildDiffers("A", own, {"B", "", ""}), "");
}

}  // namespace
}  // namespace relay::comm
