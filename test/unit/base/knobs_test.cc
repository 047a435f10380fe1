#include "relay/knobs.h"

#include <gtest/gtest.h>

#include <map>

namespace relay {
namespace {

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
  EXPECT_EQ(k->agent, "auto");
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
  EXPECT_FALSE(LoadKnobs(From({{"NCCL_RELAY_AGENT", "on"}}), nullptr));
  EXPECT_FALSE(LoadKnobs(From({{"NCCL_RELAY_LOG", "debug"}}), nullptr));
  EXPECT_FALSE(LoadKnobs(From({{"NCCL_RELAY_GDR", "on"}}), nullptr));
  EXPECT_FALSE(LoadKnobs(From({{"NCCL_RELAY_CHECKSUM", "2"}}), nullptr));
  EXPECT_FALSE(LoadKnobs(From({{"NCCL_RELAY_STAGING", "cuda"}}), nullptr));
  EXPECT_FALSE(LoadKnobs(From({{"NCCL_RELAY_REGISTERED", "1M"}}), nullptr)) << "less than one circuit takes";
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
