// Transports in a process that has used up its descriptors.
#include <gtest/gtest.h>
#include <poll.h>

#include <cerrno>

#include "fake/no_descriptors.h"
#include "transport/loopback/dial.h"
#include "transport/tcp/dial.h"
#include "transport/tcp/listener.h"

namespace relay::transport {
namespace {

SocketAddress Home() { return *SocketAddress::Parse("127.0.0.1"); }

TEST(NoDescriptors, NoHopIsMadeAndTheErrorIsTheSystems) {
  RELAY_RUNS_OUT_OF_DESCRIPTORS;
  auto listener = tcp::Listener::Open("lo", Home(), {});
  ASSERT_TRUE(listener) << listener.error().what;
  fake::NoDescriptors none;
  auto dial = tcp::StartDial({"lo", Home(), listener->address()}, {});
  ASSERT_FALSE(dial);
  EXPECT_EQ(dial.error().code, ErrorCode::kSystem);
  EXPECT_EQ(dial.error().sys_errno, EMFILE);
  auto second = tcp::Listener::Open("lo", Home(), {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().sys_errno, EMFILE);
  auto pair = loopback::Dial();
  ASSERT_FALSE(pair);
  EXPECT_EQ(pair.error().sys_errno, EMFILE);
}

TEST(NoDescriptors, ACallThatWaitsIsAcceptedWhenThereIsOneAgain) {
  RELAY_RUNS_OUT_OF_DESCRIPTORS;
  auto listener = tcp::Listener::Open("lo", Home(), {});
  ASSERT_TRUE(listener) << listener.error().what;
  auto near = tcp::StartDial({"lo", Home(), listener->address()}, {});
  ASSERT_TRUE(near) << near.error().what;
  pollfd p{listener->fd(), POLLIN, 0};
  ASSERT_EQ(poll(&p, 1, 10000), 1);
  {
    fake::NoDescriptors none;
    auto accepted = listener->Accept();
    ASSERT_FALSE(accepted);
    EXPECT_EQ(accepted.error().sys_errno, EMFILE);
    EXPECT_NE(accepted.error().what.find(listener->address().ToText()), std::string::npos);
  }
  auto accepted = listener->Accept();
  ASSERT_TRUE(accepted && *accepted);
}

}  // namespace
}  // namespace relay::transport
