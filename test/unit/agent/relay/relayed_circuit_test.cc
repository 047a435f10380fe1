// The relay engine between real TCP sockets, driven step by step in this thread.
#include "agent/relay/relayed_circuit.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <filesystem>

#include "agent/relay/relay.h"
#include "unit/agent/agents.h"

namespace relay::agent {
namespace {

struct Wire {
  Fd end;    // an end process's
  Fd relay;  // the relay's
};

Wire MakeWire() {
  auto address = *SocketAddress::Parse("127.0.0.1");
  auto listener = transport::tcp::Listener::Open("lo", address, {});
  auto end = transport::tcp::StartDial({"lo", address, listener->address()}, {});
  EXPECT_TRUE(end && WaitFor(listener->fd(), POLLIN));
  auto accepted = listener->Accept();
  EXPECT_TRUE(accepted && *accepted);
  return {std::move(*end), std::move((**accepted).fd)};
}

bool Readable(int fd) {
  pollfd p{fd, POLLIN, 0};
  return poll(&p, 1, 0) == 1;
}

class RelayEngine : public testing::TestWithParam<RelayedCircuit::Means> {
 protected:
  RelayEngine() : loop_(clock_) {}

  struct Joined {
    Fd near, far;
    std::unique_ptr<RelayedCircuit> circuit;
    bool done = false;
  };
  std::unique_ptr<Joined> Join() {
    auto out = std::make_unique<Joined>();
    Wire near = MakeWire(), far = MakeWire();
    out->near = std::move(near.end);
    out->far = std::move(far.end);
    out->circuit = std::make_unique<RelayedCircuit>(
        RelayedCircuit::Tools{loop_, pipes_, counters_}, RelayedCircuit::Facts{},
        RelayedCircuit::Sides{std::move(near.relay), std::move(far.relay)}, Budget::Lease{}, [joined = out.get()] {
          joined->done = true;
          joined->circuit.reset();
        });
    EXPECT_TRUE(out->circuit->Start(GetParam()));
    return out;
  }

  bool Until(const std::function<bool()>& condition) {
    auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      loop_.RunOnce(std::chrono::milliseconds(5));
    }
    return true;
  }
  // How many bytes came in all until the end of the stream or an error.
  struct Drained {
    size_t bytes = 0;
    bool ended = false, reset = false;
  };
  void ReadSome(int fd, Drained& out) {
    char room[65536];
    ssize_t n;
    while ((n = recv(fd, room, sizeof room, MSG_DONTWAIT)) > 0) out.bytes += static_cast<size_t>(n);
    if (n == 0) out.ended = true;
    if (n < 0 && errno != EAGAIN) out.ended = out.reset = true;
  }
  size_t FillUp(int fd) {
    std::vector<char> block(1 << 20, 'x');
    size_t sent = 0;
    for (int idle = 0; idle < 50;) {
      ssize_t n = send(fd, block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n > 0) sent += static_cast<size_t>(n);
      idle = n > 0 ? 0 : idle + 1;
      loop_.RunOnce(std::chrono::milliseconds(2));
    }
    return sent;
  }

  SystemClock clock_;
  EventLoop loop_;
  PipePool pipes_;
  Counters counters_;
};

INSTANTIATE_TEST_SUITE_P(Means, RelayEngine,
                         testing::Values(RelayedCircuit::Means::kSplice, RelayedCircuit::Means::kCopy),
                         [](const auto& means) {
                           return means.param == RelayedCircuit::Means::kSplice ? "Splice" : "Copy";
                         });

TEST_P(RelayEngine, AStalledReceiverStopsTheFlowAndNothingIsLostWhenItReads) {
  auto j = Join();
  size_t sent = FillUp(j->near.get());
  shutdown(j->near.get(), SHUT_WR);
  Drained got;
  ASSERT_TRUE(Until([&] {
    ReadSome(j->far.get(), got);
    return got.ended;
  }));
  EXPECT_FALSE(got.reset);
  EXPECT_EQ(got.bytes, sent);
  EXPECT_EQ(counters_.relayed_bytes.load(), sent);
  EXPECT_EQ(counters_.relay_copied_bytes.load(), GetParam() == RelayedCircuit::Means::kCopy ? sent : 0);
  EXPECT_EQ(j->circuit->bytes_forward(), sent);
  EXPECT_FALSE(j->done);
  j->far.reset();
  EXPECT_TRUE(Until([&] { return j->done; }));
}

TEST_P(RelayEngine, OneFrozenReceiverDoesNotSlowTheOthers) {
  auto frozen = Join(), lively = Join();
  FillUp(frozen->near.get());
  for (int round = 0; round < 100; ++round) {
    ASSERT_EQ(send(lively->near.get(), "ping", 4, 0), 4);
    Drained got;
    ASSERT_TRUE(Until([&] {
      ReadSome(lively->far.get(), got);
      return got.bytes == 4;
    }));
  }
}

TEST_P(RelayEngine, TheLastWordsOfASideThatIsResetStillArrive) {
  auto j = Join();
  // The near side dies with bytes unread, so that its kernel resets; what it said before is on its way.
  ASSERT_EQ(send(j->far.get(), "unread", 6, 0), 6);
  ASSERT_TRUE(Until([&] { return Readable(j->near.get()); }));
  ASSERT_EQ(send(j->near.get(), "done, acknowledged", 18, 0), 18);
  ASSERT_TRUE(Until([&] { return counters_.relayed_bytes.load() == 24; }));
  j->near.reset();
  Drained got;
  ASSERT_TRUE(Until([&] {
    ReadSome(j->far.get(), got);
    return got.ended;
  }));
  EXPECT_EQ(got.bytes, 18u);
  EXPECT_FALSE(j->done) << "it learns of the end when it comes, not when the relay gives the circuit up";
  j->far.reset();
  EXPECT_TRUE(Until([&] { return j->done; }));
}

TEST_P(RelayEngine, BytesHeldForAStalledReceiverSurviveTheSendersDeath) {
  auto j = Join();
  size_t sent = FillUp(j->near.get());
  // It still talks into a hop whose other end it will not read any more.
  j->near.reset();
  Drained got;
  ASSERT_TRUE(Until([&] {
    ReadSome(j->far.get(), got);
    return got.ended;
  }));
  EXPECT_FALSE(got.reset);
  EXPECT_EQ(got.bytes, sent);
}

TEST_P(RelayEngine, WhoTalksToADeadSideLearnsOfItAndTheCircuitEnds) {
  auto j = Join();
  j->far.reset();
  std::vector<char> block(1 << 16, 'x');
  Drained got;
  ASSERT_TRUE(Until([&] {
    send(j->near.get(), block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    ReadSome(j->near.get(), got);
    return got.ended;
  }));
  j->near.reset();
  EXPECT_TRUE(Until([&] { return j->done; }));
}

TEST_P(RelayEngine, ACircuitWhoseOtherSideNeverEndsIsClosedInTheEnd) {
  auto j = Join();
  // An error on one side, and a process on the other that neither reads nor closes.
  ASSERT_EQ(send(j->far.get(), "unread", 6, 0), 6);
  ASSERT_TRUE(Until([&] { return Readable(j->near.get()); }));
  linger now{1, 0};
  setsockopt(j->near.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  j->near.reset();
  EXPECT_TRUE(Until([&] { return j->done; }));
  EXPECT_TRUE(AtEnd(j->far.get()));
}

TEST_P(RelayEngine, BothSidesClosingAtOnceEndsIt) {
  auto j = Join();
  ASSERT_EQ(send(j->near.get(), "x", 1, 0), 1);
  shutdown(j->near.get(), SHUT_WR);
  shutdown(j->far.get(), SHUT_WR);
  ASSERT_TRUE(Until([&] { return j->done; }));
  EXPECT_EQ(ReadText(j->far.get(), 1), "x");
  EXPECT_TRUE(AtEnd(j->far.get()));
  EXPECT_TRUE(AtEnd(j->near.get()));
}

// Descriptors of pipes that this process has, two for each.
size_t PipeEnds() {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // as the one that lists them is, when the list is read
    count += std::filesystem::read_symlink(entry, gone).string().starts_with("pipe:") ? 1 : 0;
  }
  return count;
}

TEST_P(RelayEngine, IdleCircuitsHoldNoPipe) {
  constexpr size_t kCircuits = 100;
  const size_t before = PipeEnds();
  std::vector<std::unique_ptr<Joined>> all;
  for (size_t i = 0; i < kCircuits; ++i) {
    all.push_back(Join());
    ASSERT_EQ(send(all.back()->near.get(), "x", 1, 0), 1);
  }
  ASSERT_TRUE(Until([&] { return counters_.relayed_bytes.load() == kCircuits; }));
  loop_.RunOnce(Duration::zero());
  const size_t pipes = GetParam() == RelayedCircuit::Means::kSplice ? 1 : 0;
  EXPECT_EQ(PipeEnds() - before, 2 * pipes) << "one serves all in turn, to splice";
}

TEST(PipePool, GivesBackWhatWasReturned) {
  PipePool pool;
  auto pipe = pool.Lease();
  ASSERT_TRUE(pipe);
  EXPECT_GE(pipe->capacity, 4096u);
  int fd = pipe->read.get();
  pool.Return(std::move(*pipe));
  EXPECT_EQ(pool.Lease()->read.get(), fd);
}

}  // namespace
}  // namespace relay::agent
