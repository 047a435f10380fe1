// Every kind of hop keeps the promises of include/relay/transport.h.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "relay/transport.h"
#include "transport/loopback/dial.h"
#include "transport/tcp/dial.h"
#include "transport/tcp/listener.h"

namespace relay::transport {
namespace {

constexpr int kPatienceMs = 20000;

struct Pair {
  std::unique_ptr<Hop> a, b;
};

bool WaitFor(int fd, short events) {
  pollfd p{fd, events, 0};
  return poll(&p, 1, kPatienceMs) == 1;
}

struct Tcp {
  static Pair Make() {
    auto address = SocketAddress::Parse("127.0.0.1");
    auto listener = tcp::Listener::Open("lo", address->WithPort(0), {});
    EXPECT_TRUE(listener) << listener.error().what;
    auto near = tcp::StartDial({"lo", *address, listener->address()}, {});
    EXPECT_TRUE(near) << near.error().what;
    EXPECT_TRUE(WaitFor(near->get(), POLLOUT));
    EXPECT_TRUE(tcp::FinishDial(near->get()));
    EXPECT_TRUE(WaitFor(listener->fd(), POLLIN));
    auto far = listener->Accept();
    EXPECT_TRUE(far && *far);
    return {AdoptSocket(near->release()), AdoptSocket((**far).fd.release())};
  }
};

struct Loopback {
  static Pair Make() {
    auto ends = loopback::Dial();
    EXPECT_TRUE(ends);
    return {AdoptSocket(ends->near.release()), AdoptSocket(ends->far.release())};
  }
};

Result<size_t> SendText(Hop& hop, const std::string& text) {
  iovec piece{const_cast<char*>(text.data()), text.size()};
  return hop.Send({&piece, 1});
}

// Waits until something comes or the hop ends.
Result<std::string> ReceiveSome(Hop& hop, size_t room = 4096) {
  std::string out(room, '\0');
  while (true) {
    iovec piece{out.data(), out.size()};
    auto n = hop.Receive({&piece, 1});
    if (!n) return tl::unexpected<Error>(n.error());
    if (*n > 0) return out.substr(0, *n);
    if (!WaitFor(hop.fd(), POLLIN)) return Fail(ErrorCode::kInternal, "nothing came");
  }
}

template <class T>
class HopConformance : public testing::Test {
 protected:
  Pair pair_ = T::Make();
};

using Kinds = testing::Types<Tcp, Loopback>;
TYPED_TEST_SUITE(HopConformance, Kinds);

TYPED_TEST(HopConformance, NothingThereIsNoError) {
  char room[16];
  iovec piece{room, sizeof room};
  auto n = this->pair_.a->Receive({&piece, 1});
  ASSERT_TRUE(n);
  EXPECT_EQ(*n, 0u);
  EXPECT_FALSE(this->pair_.a->closed());
}

TYPED_TEST(HopConformance, NoRoomIsNotTheEndOfTheStream) {
  ASSERT_TRUE(SendText(*this->pair_.b, "x"));
  ASSERT_TRUE(WaitFor(this->pair_.a->fd(), POLLIN));
  iovec nothing{nullptr, 0};
  auto n = this->pair_.a->Receive({&nothing, 1});
  ASSERT_TRUE(n);
  EXPECT_EQ(*n, 0u);
  EXPECT_EQ(*this->pair_.a->Receive({}), 0u);
  EXPECT_FALSE(this->pair_.a->closed());
}

TYPED_TEST(HopConformance, GathersAndScatters) {
  std::string head = "head", body = "the payload";
  iovec out[] = {{head.data(), head.size()}, {nullptr, 0}, {body.data(), body.size()}};
  ASSERT_EQ(this->pair_.a->Send(out).value(), 15u);
  std::string first(6, '.'), second(20, '.');
  ASSERT_TRUE(WaitFor(this->pair_.b->fd(), POLLIN));
  iovec in[] = {{first.data(), first.size()}, {second.data(), second.size()}};
  ASSERT_EQ(this->pair_.b->Receive(in).value(), 15u);
  EXPECT_EQ(first, "headth");
  EXPECT_EQ(second.substr(0, 9), "e payload");
}

TYPED_TEST(HopConformance, MorePiecesThanTheKernelTakesAreTakenInPart) {
  std::vector<char> bytes(3000);
  std::vector<iovec> pieces;
  for (char& byte : bytes) pieces.push_back({&byte, 1});
  auto n = this->pair_.a->Send(pieces);
  ASSERT_TRUE(n) << n.error().what;
  EXPECT_GT(*n, 0u);
  EXPECT_LT(*n, bytes.size());
}

TYPED_TEST(HopConformance, AFullHopTakesNoMoreUntilTheOtherEndReads) {
  std::string block(1 << 20, 'z');
  size_t sent = 0;
  while (true) {
    auto n = SendText(*this->pair_.a, block);
    ASSERT_TRUE(n) << n.error().what;
    sent += *n;
    ASSERT_LT(sent, size_t{1} << 30);
    // Full is what stays full: TCP may still move bytes to the other side's buffer.
    pollfd p{this->pair_.a->fd(), POLLOUT, 0};
    if (*n == 0 && poll(&p, 1, 200) == 0) break;
  }
  EXPECT_GT(sent, 0u);
  size_t received = 0;
  while (received < sent) {
    auto some = ReceiveSome(*this->pair_.b, block.size());
    ASSERT_TRUE(some) << some.error().what;
    received += some->size();
  }
  EXPECT_EQ(received, sent);
  EXPECT_TRUE(WaitFor(this->pair_.a->fd(), POLLOUT));
  EXPECT_EQ(SendText(*this->pair_.a, "on").value(), 2u);
}

TYPED_TEST(HopConformance, SixtyFourMebibytesArriveInOrderThroughPartialSends) {
  constexpr size_t kTotal = size_t{64} << 20;
  std::vector<uint32_t> pattern((1 << 20) / 4);
  std::iota(pattern.begin(), pattern.end(), 7u);
  const char* bytes = reinterpret_cast<const char*>(pattern.data());
  std::vector<char> room(300001);
  size_t sent = 0, received = 0;
  auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (received < kTotal) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    if (sent < kTotal) {
      size_t at = sent % (1 << 20);
      iovec pieces[] = {{const_cast<char*>(bytes + at), (size_t{1} << 20) - at}, {const_cast<char*>(bytes), 1 << 20}};
      pieces[1].iov_len = std::min<size_t>(1 << 20, kTotal - sent - std::min(kTotal - sent, pieces[0].iov_len));
      auto n = this->pair_.a->Send(pieces);
      ASSERT_TRUE(n);
      sent += *n;
    }
    iovec in{room.data(), room.size()};
    auto n = this->pair_.b->Receive({&in, 1});
    ASSERT_TRUE(n);
    for (size_t i = 0; i < *n;) {
      size_t at = (received + i) % (1 << 20);
      size_t run = std::min(*n - i, (size_t{1} << 20) - at);
      ASSERT_TRUE(std::equal(room.data() + i, room.data() + i + run, bytes + at));
      i += run;
    }
    received += *n;
  }
  EXPECT_EQ(sent, received);
}

TYPED_TEST(HopConformance, EverythingSentBeforeShutdownArrivesAndThenTheEnd) {
  ASSERT_EQ(SendText(*this->pair_.a, "last words").value(), 10u);
  this->pair_.a->ShutdownSend();
  EXPECT_EQ(ReceiveSome(*this->pair_.b).value(), "last words");
  auto end = ReceiveSome(*this->pair_.b);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, ErrorCode::kRemote);
  EXPECT_TRUE(this->pair_.b->closed());
}

TYPED_TEST(HopConformance, AHalfClosedHopStillCarriesTheOtherWay) {
  this->pair_.a->ShutdownSend();
  ASSERT_FALSE(ReceiveSome(*this->pair_.b));
  ASSERT_EQ(SendText(*this->pair_.b, "answer").value(), 6u);
  EXPECT_EQ(ReceiveSome(*this->pair_.a).value(), "answer");
}

TYPED_TEST(HopConformance, ALostPeerIsAnErrorAndNeverASignal) {
  struct sigaction old {
  }, fatal{};
  fatal.sa_handler = SIG_DFL;
  sigaction(SIGPIPE, &fatal, &old);
  this->pair_.b.reset();
  Result<size_t> n = 0;
  auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (n && std::chrono::steady_clock::now() < deadline) n = SendText(*this->pair_.a, "x");
  sigaction(SIGPIPE, &old, nullptr);
  ASSERT_FALSE(n);
  EXPECT_EQ(n.error().code, ErrorCode::kRemote);
  EXPECT_NE(n.error().sys_errno, 0);
}

TYPED_TEST(HopConformance, APeerThatLeavesBytesUnreadResetsTheHop) {
  ASSERT_TRUE(SendText(*this->pair_.a, "never read"));
  ASSERT_TRUE(WaitFor(this->pair_.b->fd(), POLLIN));
  this->pair_.b.reset();
  auto end = ReceiveSome(*this->pair_.a);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, ErrorCode::kRemote);
  EXPECT_FALSE(this->pair_.a->closed());
}

TYPED_TEST(HopConformance, WhatWasOnTheWayBeforeAnOrderlyEndIsStillReceived) {
  ASSERT_TRUE(SendText(*this->pair_.b, "acknowledged"));
  this->pair_.b.reset();
  EXPECT_EQ(ReceiveSome(*this->pair_.a).value(), "acknowledged");
  EXPECT_FALSE(ReceiveSome(*this->pair_.a));
  EXPECT_TRUE(this->pair_.a->closed());
}

}  // namespace
}  // namespace relay::transport
