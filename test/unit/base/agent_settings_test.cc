#include "base/agent_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace relay {
namespace {

using testing::IsEmpty;

Knobs With(const std::function<void(Knobs&)>& change) {
  Knobs knobs;
  change(knobs);
  return knobs;
}

TEST(AgentSettings, AJobThatAsksForNothingAgreesWithEveryAgent) {
  const std::string agent = AgentSettingsText(With([](Knobs& k) {
    k.ifname = "cab";
    k.port = 22222;
    k.key_file = "/etc/key";
    k.rdma = knob::Automatic::kOff;
  }));
  EXPECT_THAT(DisagreementsOf(Knobs(), agent), IsEmpty());
  EXPECT_FALSE(AsksForSomething(Knobs()));
  EXPECT_FALSE(AsksForSomething(With([](Knobs& k) { k.linger = std::chrono::seconds(1); }))) << "its own matter";
  EXPECT_TRUE(AsksForSomething(With([](Knobs& k) { k.ifname = "cab"; })));
}

TEST(AgentSettings, WhatIsAskedForIsNamedWithBothValues) {
  const Knobs job = With([](Knobs& k) {
    k.ifname = "cab,cba";
    k.port = 22222;
    k.rdma = knob::Automatic::kOff;
    k.staging = knob::Staging::kGpu;
    k.hop_timeout = std::chrono::seconds(5);
  });
  EXPECT_THAT(DisagreementsOf(job, AgentSettingsText(job)), IsEmpty());
  EXPECT_EQ(
      DisagreementsText(
          DisagreementsOf(job, AgentSettingsText(With([](Knobs& k) { k.rdma = knob::Automatic::kOff; })))),
      "NCCL_RELAY_HOP_TIMEOUT=5 s where its agent has NCCL_RELAY_HOP_TIMEOUT=10 s; NCCL_RELAY_IFNAME=cab,cba where "
      "its agent has NCCL_RELAY_IFNAME unset; NCCL_RELAY_PORT=22222 where its agent has NCCL_RELAY_PORT=21517; "
      "NCCL_RELAY_STAGING=gpu where its agent has NCCL_RELAY_STAGING=host");
}

TEST(AgentSettings, AKeyThatTheAgentHasNotIsUnsafeAndAnotherFileIsNot) {
  const Knobs job = With([](Knobs& k) { k.key_file = "/job/key"; });
  auto open = DisagreementsOf(job, AgentSettingsText(Knobs()));
  ASSERT_EQ(open.size(), 1U);
  EXPECT_TRUE(open[0].unsafe());
  auto other = DisagreementsOf(job, AgentSettingsText(With([](Knobs& k) { k.key_file = "/etc/key"; })));
  ASSERT_EQ(other.size(), 1U);
  EXPECT_FALSE(other[0].unsafe());
}

TEST(AgentSettings, WhatAnAgentDoesNotNameOrNobodyKnowsIsNoDisagreement) {
  const Knobs job = With([](Knobs& k) {
    k.port = 22222;
    k.ifname = "a=b\nNCCL_RELAY_PORT=1";
  });
  for (const char* agent : {"", "\n\n", "=", "NCCL_RELAY_PORT", "NCCL_RELAY_NEW=1\n", "NCCL_RELAY_PORT=22222"}) {
    EXPECT_THAT(DisagreementsOf(job, agent), IsEmpty()) << agent;
  }
  EXPECT_THAT(DisagreementsOf(job, AgentSettingsText(job)), IsEmpty()) << "a value is one line";
}

}  // namespace
}  // namespace relay
