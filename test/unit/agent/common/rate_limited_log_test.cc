#include "agent/common/rate_limited_log.h"

#include <gtest/gtest.h>

#include <string>

#include "base/log.h"
#include "fake/manual_clock.h"

namespace relay::agent::rate_limited_log {
namespace {

int g_lines = 0;
std::string g_last;

TEST(RateLimitedLog, KeepsAFloodBackAndCountsIt) {
  SetLogSink([](LogLevel, const char*, int, const char* text) {
    ++g_lines;
    g_last = text;
  });
  fake::ManualClock clock;
  RateLimitedLog log(clock);
  g_lines = 0;
  for (int i = 0; i < 1000; ++i) log.Warn("flood", "again");
  EXPECT_EQ(g_lines, 3);
  log.Info("other", "another kind");
  EXPECT_EQ(g_last, "another kind");
  clock.Advance(std::chrono::seconds(21));
  log.Warn("flood", "again");
  EXPECT_EQ(g_last, "again (and 997 such lines kept back before)");
  clock.Advance(std::chrono::hours(1));
  g_lines = 0;
  for (int i = 0; i < 1000; ++i) log.Warn("flood", "again");
  EXPECT_EQ(g_lines, 3);
  log.Warn("lines", "one\nWARN two");
  EXPECT_EQ(g_last, "one?WARN two");
  SetLogSink(nullptr);
}

}  // namespace
}  // namespace relay::agent::rate_limited_log
