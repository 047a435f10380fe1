#include "agent/daemon/settings.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

namespace relay::agent {
namespace {

class SettingsTest : public testing::Test {
 protected:
  SettingsTest() {
    char name[] = "/tmp/nccl-relay-settings-XXXXXX";
    close(mkstemp(name));
    file_ = name;
    for (const char* variable : {"NCCL_RELAY_PORT", "NCCL_RELAY_PEERS", "NCCL_RELAY_LOG"}) unsetenv(variable);
  }
  ~SettingsTest() override {
    unlink(file_.c_str());
    unsetenv("NCCL_RELAY_PORT");
  }
  void Write(const std::string& text) const {
    FILE* file = fopen(file_.c_str(), "w");
    fputs(text.c_str(), file);
    fclose(file);
  }
  std::string Complaint(const std::string& text) const {
    Write(text);
    auto settings = LoadSettings(file_);
    return settings ? "" : settings.error().what;
  }
  std::string file_;
};

TEST_F(SettingsTest, WithoutAFileTheEnvironmentDecidesAlone) {
  setenv("NCCL_RELAY_PORT", "2000", 1);
  auto settings = LoadSettings("");
  ASSERT_TRUE(settings) << settings.error().what;
  EXPECT_EQ(settings->knobs.port, 2000u);
  EXPECT_EQ(settings->metrics, "");
  EXPECT_EQ(settings->drain_timeout, std::chrono::seconds(30));
}

TEST_F(SettingsTest, AFileSaysWhatTheEnvironmentDoesNot) {
  Write(R"({"port": 3000, "peers": ["10.0.0.1", "spark-2:4000"], "ifname": "=eth1", "log": "trace", "rdma": "off",
            "metrics": "127.0.0.1:9417", "drain_timeout": "250ms", "serve": "everyone"})");
  setenv("NCCL_RELAY_PORT", "2000", 1);
  auto settings = LoadSettings(file_);
  ASSERT_TRUE(settings) << settings.error().what;
  EXPECT_EQ(settings->knobs.port, 2000u);
  EXPECT_EQ(settings->knobs.peers, "10.0.0.1,spark-2:4000");
  EXPECT_EQ(settings->knobs.ifname, "=eth1");
  EXPECT_EQ(settings->knobs.log, LogLevel::kTrace);
  EXPECT_EQ(settings->knobs.rdma, knob::Automatic::kOff);
  EXPECT_EQ(settings->metrics, "127.0.0.1:9417");
  EXPECT_EQ(settings->users, control::Users::kAnyone);
  EXPECT_EQ(settings->drain_timeout, std::chrono::milliseconds(250));
}

TEST_F(SettingsTest, MistakesAreNamedWithTheirLine) {
  EXPECT_NE(Complaint("{\n\"prot\": 1}").find(":2: unknown key \"prot\", did you mean \"port\"?"), std::string::npos);
  EXPECT_NE(Complaint("{\"peers\": [1]}").find("\"peers\" is an array, not a string"), std::string::npos);
  EXPECT_NE(Complaint("{\"drain_timeout\": \"soon\"}").find("drain_timeout"), std::string::npos);
  EXPECT_NE(Complaint("{\"serve\": \"all\"}").find("neither \"own\""), std::string::npos);
  EXPECT_NE(Complaint("[]").find("not an object"), std::string::npos);
  EXPECT_NE(Complaint("{").find(file_ + ":1:"), std::string::npos);
  EXPECT_NE(Complaint("{\"port\": 99999}").find("NCCL_RELAY_PORT='99999'"), std::string::npos);
}

TEST_F(SettingsTest, AFileThatIsNotThereIsNamed) {
  auto settings = LoadSettings(file_ + ".missing");
  ASSERT_FALSE(settings);
  EXPECT_NE(settings.error().what.find(file_ + ".missing"), std::string::npos);
}

}  // namespace
}  // namespace relay::agent
