#include "agent/node/identity.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace relay::agent {
namespace {

class IdentityTest : public testing::Test {
 protected:
  IdentityTest() {
    char name[] = "/tmp/nccl-relay-identity-XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~IdentityTest() override {
    unlink(File().c_str());
    rmdir(directory_.c_str());
  }
  std::string File() const {
    struct stat network {};
    stat("/proc/self/ns/net", &network);
    return directory_ + "/node-" + std::to_string(network.st_ino);
  }
  void WriteFile(const char* text) const {
    FILE* file = fopen(File().c_str(), "w");
    fputs(text, file);
    fclose(file);
  }
  std::string directory_;
};

TEST_F(IdentityTest, ANodeIsTheSameAtEveryStartAndItsIncarnationGrows) {
  const Identity first = TakeIdentity(directory_, 1000);
  const Identity second = TakeIdentity(directory_, 2000);
  EXPECT_TRUE(first.kept);
  EXPECT_NE(first.node, 0u);
  EXPECT_EQ(first.node, second.node);
  EXPECT_EQ(second.incarnation, 2000u);
}

TEST_F(IdentityTest, AClockThatWentBackwardsDoesNotMakeItOlder) {
  const Identity first = TakeIdentity(directory_, 5000);
  EXPECT_EQ(TakeIdentity(directory_, 10).incarnation, first.incarnation + 1);
}

TEST_F(IdentityTest, ADamagedFileIsDrawnAnew) {
  for (const char* text : {"", "garbage", "0000000000000000 7\n", "12"}) {
    WriteFile(text);
    const Identity identity = TakeIdentity(directory_, 77);
    EXPECT_NE(identity.node, 0u) << text;
    EXPECT_TRUE(identity.kept) << text;
  }
}

TEST_F(IdentityTest, WithoutAPlaceNothingIsKept) {
  EXPECT_FALSE(TakeIdentity("", 1).kept);
  EXPECT_FALSE(TakeIdentity(directory_ + "/missing", 1).kept);
  EXPECT_NE(TakeIdentity("", 1).node, TakeIdentity("", 1).node);
}

}  // namespace
}  // namespace relay::agent
