#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "transport/tcp/dial.h"
#include "transport/tcp/listener.h"

namespace relay::transport::tcp {
namespace {

int Option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  getsockopt(fd, level, name, &value, &size);
  return value;
}

SocketAddress Address(const char* text) { return *SocketAddress::Parse(text); }

struct Call {
  Fd near;
  Accepted far;
};

Call Connect(const char* host, const char* from, const HopOptions& options = {}) {
  auto listener = Listener::Open("lo", Address(host), options);
  EXPECT_TRUE(listener) << listener.error().what;
  auto near = StartDial({"lo", Address(from), listener->address()}, options);
  EXPECT_TRUE(near) << near.error().what;
  pollfd p{listener->fd(), POLLIN, 0};
  EXPECT_EQ(poll(&p, 1, 10000), 1);
  auto far = listener->Accept();
  EXPECT_TRUE(far && *far);
  return {std::move(*near), std::move(**far)};
}

TEST(Tcp, BothEndsAreBoundToTheirInterfaceAndNotInherited) {
  Call call = Connect("127.0.0.1", "127.0.0.1");
  char name[32] = "";
  socklen_t size = sizeof name;
  getsockopt(call.near.get(), SOL_SOCKET, SO_BINDTODEVICE, name, &size);
  EXPECT_STREQ(name, "lo");
  EXPECT_EQ(Option(call.near.get(), SOL_SOCKET, SO_DONTROUTE), 1);
  for (int fd : {call.near.get(), call.far.fd.get()}) {
    EXPECT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    EXPECT_TRUE(fcntl(fd, F_GETFL) & O_NONBLOCK);
  }
}

TEST(Tcp, ASilentNeighbourIsNoticedWithinTheHopTimeout) {
  Call call = Connect("127.0.0.1", "127.0.0.1", {.hop_timeout = std::chrono::seconds(8)});
  for (int fd : {call.near.get(), call.far.fd.get()}) {
    EXPECT_EQ(Option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    EXPECT_EQ(Option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    EXPECT_EQ(Option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 8000);
    EXPECT_LE(Option(fd, IPPROTO_TCP, TCP_KEEPIDLE) + 3 * Option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 8);
  }
}

// The end that knows of a narrow way says so with its first packet; what it sends itself is the other end's to say.
TEST(Tcp, TheOtherSideSendsNoLongerPacketsThanWereAskedFor) {
  for (const char* host : {"127.0.0.1", "::1"}) {
    const int headers = Address(host).family() == AF_INET6 ? 60 : 40;
    constexpr int kTimestamps = 12;
    Call call = Connect(host, host, {.packet = 1500});
    EXPECT_EQ(Option(call.far.fd.get(), IPPROTO_TCP, TCP_MAXSEG), 1500 - headers - kTimestamps) << host;

    auto listener = Listener::Open("lo", Address(host), {});
    ASSERT_TRUE(listener);
    for (uint32_t packet : {1280U, 0U}) {
      ASSERT_TRUE(listener->Limit(packet)) << listener->Limit(packet).error().what;
      auto near = StartDial({"lo", Address(host), listener->address()}, {});
      ASSERT_TRUE(near);
      pollfd p{listener->fd(), POLLIN, 0};
      ASSERT_EQ(poll(&p, 1, 10000), 1);
      ASSERT_TRUE(*listener->Accept());
      const int segment = Option(near->get(), IPPROTO_TCP, TCP_MAXSEG);
      EXPECT_EQ(segment == 1280 - headers - kTimestamps, packet != 0) << segment;
    }
  }
}

TEST(Tcp, TheCallComesFromTheNearPortsAddress) {
  EXPECT_TRUE(Connect("127.0.0.2", "127.0.0.3").far.from.SameHost(Address("127.0.0.3")));
}

TEST(Tcp, SpeaksVersionSixToo) {
  auto probe = Listener::Open("lo", Address("::1"), {});
  if (!probe) GTEST_SKIP() << "no IPv6 on this machine: " << probe.error().what;
  EXPECT_TRUE(Connect("::1", "::1").far.from.SameHost(Address("::1")));
}

TEST(Tcp, ADialNobodyAnswersSaysSo) {
  SocketAddress nobody;
  {
    auto listener = Listener::Open("lo", Address("127.0.0.1"), {});
    ASSERT_TRUE(listener);
    nobody = listener->address();
  }
  auto fd = StartDial({"lo", Address("127.0.0.1"), nobody}, {});
  Status end;
  if (fd) {
    pollfd p{fd->get(), POLLOUT, 0};
    ASSERT_EQ(poll(&p, 1, 10000), 1);
    end = FinishDial(fd->get());
  } else {
    end = tl::unexpected<Error>(fd.error());
  }
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().sys_errno, ECONNREFUSED);
}

TEST(Tcp, AnAddressOrInterfaceOfSomebodyElseIsRefused) {
  auto wrong_interface = Listener::Open("relay-none", Address("127.0.0.1"), {});
  ASSERT_FALSE(wrong_interface);
  EXPECT_NE(wrong_interface.error().what.find("relay-none"), std::string::npos);
  auto wrong_address = Listener::Open("lo", Address("192.0.2.7"), {});
  ASSERT_FALSE(wrong_address);
  EXPECT_NE(wrong_address.error().what.find("192.0.2.7"), std::string::npos);
  EXPECT_FALSE(StartDial({"relay-none", Address("127.0.0.1"), Address("127.0.0.1").WithPort(1)}, {}));
}

TEST(Tcp, TwoListenersCannotShareOnePort) {
  auto first = Listener::Open("lo", Address("127.0.0.1"), {});
  ASSERT_TRUE(first);
  auto second = Listener::Open("lo", first->address(), {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().sys_errno, EADDRINUSE);
}

TEST(Tcp, NobodyWaitingIsNoError) {
  auto listener = Listener::Open("lo", Address("127.0.0.1"), {});
  ASSERT_TRUE(listener);
  auto nobody = listener->Accept();
  ASSERT_TRUE(nobody);
  EXPECT_FALSE(*nobody);
}

}  // namespace
}  // namespace relay::transport::tcp
