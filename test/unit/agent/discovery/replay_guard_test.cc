#include "agent/discovery/replay_guard.h"

#include <gtest/gtest.h>

#include <string>

namespace relay::agent::replay_guard {
namespace {

Hello Said(uint64_t incarnation, uint64_t sequence, const std::string& port = "p") {
  Hello hello;
  hello.node = 1;
  hello.incarnation = incarnation;
  hello.sequence = sequence;
  hello.port = port;
  return hello;
}

TEST(ReplayGuard, SequencesGrowOnEveryWayAndNoneLagsFarBehind) {
  ReplayGuard guard;
  const TimePoint now{std::chrono::hours(1)};
  EXPECT_TRUE(guard.Accept(Said(1, 10), "a", now));
  EXPECT_FALSE(guard.Accept(Said(1, 10), "a", now));
  EXPECT_FALSE(guard.Accept(Said(1, 9), "a", now));
  EXPECT_TRUE(guard.Accept(Said(1, 10), "b", now)) << "the same by another way";
  EXPECT_FALSE(guard.Accept(Said(1, 10), "b", now));
  EXPECT_TRUE(guard.Accept(Said(1, 12, "q"), "a", now));
  EXPECT_TRUE(guard.Accept(Said(1, 11), "a", now)) << "another port's overtook it";
  EXPECT_TRUE(guard.Accept(Said(1, 100), "a", now));
  EXPECT_FALSE(guard.Accept(Said(1, 35), "c", now)) << "an old one by a way never seen";
  EXPECT_TRUE(guard.Accept(Said(1, 36), "c", now));
}

TEST(ReplayGuard, ANewIncarnationStartsAnewAndAnOldOneIsOver) {
  ReplayGuard guard;
  TimePoint now{std::chrono::hours(1)};
  EXPECT_TRUE(guard.Accept(Said(5, 1000), "a", now));
  EXPECT_TRUE(guard.Accept(Said(6, 1), "a", now));
  EXPECT_FALSE(guard.Accept(Said(5, 1001), "a", now));
  now += ReplayGuard::kMemory + std::chrono::seconds(1);
  EXPECT_TRUE(guard.Accept(Said(5, 1001), "a", now)) << "after long silence";
}

TEST(ReplayGuard, ItsTablesAreBounded) {
  ReplayGuard guard;
  const TimePoint now{std::chrono::hours(1)};
  Hello hello = Said(1, 1);
  for (hello.node = 1; hello.node <= ReplayGuard::kMostNodes; ++hello.node) {
    ASSERT_TRUE(guard.Accept(hello, "a", now));
  }
  EXPECT_FALSE(guard.Accept(hello, "a", now));
  EXPECT_TRUE(guard.Accept(hello, "a", now + ReplayGuard::kMemory + std::chrono::seconds(1)));
  ReplayGuard ways;
  for (size_t i = 0; i < ReplayGuard::kMostWays; ++i) {
    ASSERT_TRUE(ways.Accept(Said(1, 5), std::to_string(i), now));
  }
  EXPECT_FALSE(ways.Accept(Said(1, 5), "one more", now));
  ASSERT_TRUE(ways.Accept(Said(1, 100), "0", now));
  EXPECT_TRUE(ways.Accept(Said(1, 101), "one more", now)) << "those that fell behind made room";
}

}  // namespace
}  // namespace relay::agent::replay_guard
