// The service thread in a process that has used up its descriptors.
#include <gtest/gtest.h>

#include "fake/no_descriptors.h"
#include "stream/service_thread.h"

namespace relay::stream {
namespace {

TEST(NoDescriptors, TheServiceSaysThatItCannotStart) {
  RELAY_RUNS_OUT_OF_DESCRIPTORS;
  SystemClock clock;
  ServiceThread service(clock, std::chrono::seconds(1));
  fake::NoDescriptors none;
  Status started = service.Start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::kSystem);
  EXPECT_NE(started.error().what.find("ulimit -n"), std::string::npos) << started.error().what;
}

}  // namespace
}  // namespace relay::stream
