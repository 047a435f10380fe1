#include "relay/knobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace relay {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

Getenv From(std::map<std::string, std::string> env) {
  return [env](const char* n) -> const char* {
    auto it = env.find(n);
    return it == env.end() ? nullptr : it->second.c_str();
  };
}

TEST(Knobs, DefaultsHoldWhereNothingIsSet) {
  auto k = LoadKnobs(From({}), nullptr);
  ASSERT_TRUE(k);
  EXPECT_EQ(k->port, 21517u);
  EXPECT_EQ(k->connect_timeout, std::chrono::seconds(30));
  EXPECT_EQ(k->segment, 1u << 20);
  EXPECT_EQ(k->eager, 16384u);
  EXPECT_EQ(k->agent, knob::Automatic::kAuto);
  EXPECT_EQ(k->staging, knob::Staging::kHost);
  EXPECT_EQ(k->log, LogLevel::kInfo);
  EXPECT_EQ(k->fabric, "");
}

TEST(Knobs, ValuesAreReadWithTheirUnits) {
  auto k = LoadKnobs(From({{"NCCL_RELAY_CONNECT_TIMEOUT", "0.5"},
                           {"NCCL_RELAY_RECOVER_TIMEOUT", "250ms"},
                           {"NCCL_RELAY_LINGER", "2s"},
                           {"NCCL_RELAY_SEGMENT", "64K"}}),
                     nullptr);
  ASSERT_TRUE(k);
  EXPECT_EQ(k->connect_timeout, std::chrono::milliseconds(500));
  EXPECT_EQ(k->recover_timeout, std::chrono::milliseconds(250));
  EXPECT_EQ(k->linger, std::chrono::seconds(2));
  EXPECT_EQ(k->segment, 65536u);
}

TEST(Knobs, AWrongValueIsRefusedWithNameAndRange) {
  for (const char* bad : {"", "ten", "-1", "4x", "99999999999", "0", "32768", "1.5"}) {
    auto k = LoadKnobs(From({{"NCCL_RELAY_PORT", bad}}), nullptr);
    ASSERT_FALSE(k) << bad;
    EXPECT_EQ(k.error().code, ErrorCode::kUsage);
    EXPECT_EQ(k.error().what, std::string("NCCL_RELAY_PORT='") + bad +
                                  "' is not Count within 1..32767 (TCP and UDP port of every agent of the fabric)");
  }
  EXPECT_FALSE(LoadKnobs(From({{"NCCL_RELAY_SEGMENT", "5000"}}), nullptr)) << "not a multiple of 128";
  EXPECT_FALSE(LoadKnobs(From({{"NCCL_RELAY_SEGMENT", "99999999999999999999G"}}), nullptr));
  EXPECT_FALSE(LoadKnobs(From({{"NCCL_RELAY_CONNECT_TIMEOUT", "inf"}}), nullptr));
  EXPECT_FALSE(LoadKnobs(From({{"NCCL_RELAY_CONNECT_TIMEOUT", "nan"}}), nullptr));
  EXPECT_FALSE(LoadKnobs(From({{"NCCL_RELAY_CHECKSUM", "2"}}), nullptr));
  EXPECT_FALSE(LoadKnobs(From({{"NCCL_RELAY_REGISTERED", "1M"}}), nullptr)) << "less than one circuit takes";
}

TEST(Knobs, AChoiceIsOneOfItsWords) {
  auto k = LoadKnobs(From({{"NCCL_RELAY_AGENT", "off"},
                           {"NCCL_RELAY_RDMA", "off"},
                           {"NCCL_RELAY_GDR", "off"},
                           {"NCCL_RELAY_STAGING", "gpu"},
                           {"NCCL_RELAY_LOG", "trace"}}),
                     nullptr);
  ASSERT_TRUE(k);
  EXPECT_EQ(k->agent, knob::Automatic::kOff);
  EXPECT_EQ(k->rdma, knob::Automatic::kOff);
  EXPECT_EQ(k->gdr, knob::Automatic::kOff);
  EXPECT_EQ(k->staging, knob::Staging::kGpu);
  EXPECT_EQ(k->log, LogLevel::kTrace);
}

TEST(Knobs, AWrongChoiceIsRefusedWithTheWords) {
  const auto refusal = [](const char* name, const char* value) {
    auto k = LoadKnobs(From({{name, value}}), nullptr);
    return k ? "none" : k.error().what;
  };
  for (const char* bad : {"", "of", "offf", "OFF", " off", "0"}) {
    EXPECT_EQ(refusal("NCCL_RELAY_AGENT", bad), std::string("NCCL_RELAY_AGENT='") + bad +
                                                    "' is neither auto nor off (auto: start an agent when none "
                                                    "answers; off: never)");
  }
  EXPECT_THAT(refusal("NCCL_RELAY_RDMA", "on"), StartsWith("NCCL_RELAY_RDMA='on' is neither auto nor off ("));
  EXPECT_THAT(refusal("NCCL_RELAY_GDR", "on"), StartsWith("NCCL_RELAY_GDR='on' is neither auto nor off ("));
  EXPECT_THAT(refusal("NCCL_RELAY_STAGING", "cuda"), StartsWith("NCCL_RELAY_STAGING='cuda' is neither host nor gpu ("));
  EXPECT_THAT(refusal("NCCL_RELAY_LOG", "debug"), StartsWith("NCCL_RELAY_LOG='debug' is none of warn, info, trace ("));
}

TEST(Knobs, ATextIsBoundedByItsLength) {
  EXPECT_TRUE(LoadKnobs(From({{"NCCL_RELAY_SOCKET", std::string(100, 's')}}), nullptr));
  auto k = LoadKnobs(From({{"NCCL_RELAY_SOCKET", std::string(101, 's')}}), nullptr);
  ASSERT_FALSE(k);
  EXPECT_THAT(k.error().what, HasSubstr("' is longer than 100 characters (the agent's control socket"));
}

TEST(Knobs, TheReferenceNamesTheWordsOfAChoice) {
  const std::string table = KnobsReference();
  EXPECT_THAT(table, HasSubstr("| `NCCL_RELAY_LOG` | Choice | info | `warn`, `info`, `trace` | "));
  EXPECT_THAT(table, HasSubstr("| `NCCL_RELAY_SOCKET` | Text | unset | up to 100 characters | "));
  EXPECT_THAT(table, HasSubstr("| `NCCL_RELAY_PORT` | Count | 21517 | 1..32767 | "));
}

TEST(Knobs, AnUnknownNameIsRefusedWithTheNearestOne) {
  const char* environment[] = {"PATH=/bin", "NCCL_DEBUG=INFO", "NCCL_RELAY_CONECT_TIMEOUT=3", nullptr};
  auto k = LoadKnobs(From({}), environment);
  ASSERT_FALSE(k);
  EXPECT_EQ(k.error().what, "unknown variable NCCL_RELAY_CONECT_TIMEOUT (did you mean NCCL_RELAY_CONNECT_TIMEOUT?)");
  const char* far[] = {"NCCL_RELAY_BANDWIDTH_LIMIT=3", nullptr};
  EXPECT_EQ(LoadKnobs(From({}), far).error().what, "unknown variable NCCL_RELAY_BANDWIDTH_LIMIT");
}

}  // namespace
}  // namespace relay
