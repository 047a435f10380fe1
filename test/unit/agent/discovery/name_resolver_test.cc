#include "agent/discovery/name_resolver.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace relay::agent::name_resolver {
namespace {

using testing::ElementsAre;

TEST(NameResolver, FindsAddressesWithoutStoppingTheLoop) {
  SystemClock clock;
  EventLoop loop(clock);
  std::map<std::string, size_t> found;
  NameResolver resolver(
      loop, [&](const std::string& name, std::vector<SocketAddress> addresses) { found[name] = addresses.size(); });
  resolver.LookUp({"127.0.0.1", "::1"});
  resolver.LookUp({"127.0.0.2"});
  const TimePoint end = clock.Now() + std::chrono::seconds(20);
  while (found.size() < 3 && clock.Now() < end) loop.RunOnce(std::chrono::milliseconds(100));
  EXPECT_THAT(found,
              ElementsAre(testing::Pair("127.0.0.1", 1), testing::Pair("127.0.0.2", 1), testing::Pair("::1", 1)));
}

// The answer is there, and nobody is left to hear it.
TEST(NameResolver, MayGoWhileANameIsLookedUp) {
  SystemClock clock;
  EventLoop loop(clock);
  const int lowest_free = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(lowest_free);
  bool heard = false;
  std::optional<NameResolver> resolver;
  resolver.emplace(loop, [&](const std::string&, auto) { heard = true; });
  resolver->LookUp({"127.0.0.1"});
  const Fd ready(dup(lowest_free));  // what the thread wakes the loop with: stays open, so that the loop may look at it
  resolver.reset();
  pollfd p{ready.get(), POLLIN, 0};
  ASSERT_EQ(poll(&p, 1, 20000), 1) << "the name was looked up to the end";
  loop.RunOnce(Duration::zero());
  EXPECT_FALSE(heard);
}

}  // namespace
}  // namespace relay::agent::name_resolver
