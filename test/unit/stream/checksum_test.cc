// Connections over a network that flips bits, with checksums and without.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <functional>

#include "fake/flipping_hop.h"
#include "fake/stream_pair.h"

namespace relay::stream::checksum {
namespace {

using fake::StreamPair;
using testing::HasSubstr;

// A pair whose circuits bring wrong bytes to the receiver, each in the place of one that has broken.
class BadWire {
 public:
  BadWire(bool checksums, uint64_t flip_every) : checksums_(checksums) {
    flips.every = flip_every;
    StreamOptions options = fake::Options();
    options.segment = 4096;
    sender = std::make_shared<SendStream>(options, send_counters);
    receiver = std::make_shared<RecvStream>(options, recv_counters, fake::kEager);
    sender->set_recovers(true);
    receiver->set_recovers(true);
    Connect();
  }

  void Connect() {
    receiver->Fence();
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    const CircuitName name{7, circuits_++};
    auto near = std::make_unique<circuit::Circuit>(transport::AdoptSocket(fds[0]), name, "A ab--ba B", send_counters);
    auto far = std::make_unique<circuit::Circuit>(
        std::make_unique<fake::FlippingHop>(transport::AdoptSocket(fds[1]), flips), name, "A ab--ba B", recv_counters);
    if (checksums_) near->AddChecksums();
    receiver->Adopt({.circuit = std::move(far), .near_link = "A ab--ba"});
    sender->Adopt({.circuit = std::move(near), .eager_bytes = fake::kEager, .near_link = "A ab--ba"});
  }
  // Another circuit where the last has broken; `lost` is told first.
  void Attend(const std::function<void()>& lost = [] {}) {
    const TimePoint now{std::chrono::hours(1)};
    const auto nothing = [](const Attention&) {};
    sender->Attend(now, false, nothing);
    const bool broken = receiver->Attend(now, false, nothing).need.circuit;
    if (!broken) return;
    lost();
    Connect();
  }
  uint64_t circuits() const { return circuits_; }

  fake::Flips flips;
  Counters send_counters, recv_counters;
  std::shared_ptr<SendStream> sender;
  std::shared_ptr<RecvStream> receiver;

 private:
  const bool checksums_;
  uint32_t circuits_ = 0;
};

// Sends messages of these sizes one after the other. How many arrived as they were sent.
size_t Right(BadWire& wire, const std::vector<size_t>& sizes) {
  size_t right = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    auto from = fake::Pattern(sizes[i], static_cast<unsigned>(i));
    std::vector<std::byte> to(sizes[i] + 1);
    auto* receive = StreamPair::Post(*wire.receiver, to.data(), sizes[i]);
    auto* send = StreamPair::Post(*wire.sender, from.data(), sizes[i]);
    uint64_t bytes = 0;
    bool sent = false, received = false;
    for (int turn = 0; turn < 100000 && !(sent && received); ++turn) {
      sent = sent || StreamPair::Done(send);
      received = received || StreamPair::Done(receive, &bytes);
      wire.Attend();
    }
    if (!sent || !received || bytes != sizes[i]) {
      ADD_FAILURE() << "message " << i << " never ends";
      return right;
    }
    right += std::equal(from.begin(), from.end(), to.begin()) ? 1 : 0;
  }
  return right;
}

// Eager ones, some that go through the bounce buffer, some that are placed straight.
const std::vector<size_t> kSizes{100, 0, 1024, 1025, 5000, 65536, 65537, 200000, 1, 70000, 300000, 12345};

TEST(Checksum, MessagesArriveRightAlthoughBitsFlip) {
  for (const uint64_t every : {100003, 50021, 20011}) {
    BadWire wire(true, every);
    EXPECT_EQ(Right(wire, kSizes), kSizes.size()) << every;
    EXPECT_GT(wire.flips.done, 5u);
    EXPECT_GT(wire.recv_counters.checksum_errors, 5u);
    EXPECT_EQ(wire.circuits(), wire.recv_counters.checksum_errors + 1) << "each is another circuit's end";
    EXPECT_EQ(wire.recv_counters.circuits_lost, wire.recv_counters.checksum_errors);
  }
}

// That the wire is as bad as the test above believes.
TEST(Checksum, WithoutChecksumsMessagesArriveWrongAndNobodyKnows) {
  BadWire wire(false, 9973);
  EXPECT_LT(Right(wire, kSizes), kSizes.size());
  EXPECT_GT(wire.flips.done, 5u);
  EXPECT_EQ(wire.recv_counters.checksum_errors, 0u);
  EXPECT_EQ(wire.circuits(), 1u);
}

TEST(Checksum, AGoodWireIsNotComplainedOf) {
  BadWire wire(true, 0);
  EXPECT_EQ(Right(wire, kSizes), kSizes.size());
  EXPECT_EQ(wire.recv_counters.checksum_errors, 0u);
  EXPECT_EQ(wire.circuits(), 1u);
}

// A GPU that polls flags in the payload sees nothing of a frame that is wrong.
TEST(Checksum, WhatMayBePolledIsVerifiedBeforeAnyOfItIsPlaced) {
  BadWire wire(true, 10000);
  const auto from = fake::Pattern(30000, 1);
  std::vector<std::byte> to(30000, std::byte{0xee});
  auto* receive = StreamPair::Post(*wire.receiver, to.data(), to.size(), /*in_order=*/true);
  auto* send = StreamPair::Post(*wire.sender, const_cast<std::byte*>(from.data()), from.size());
  size_t looked = 0;
  bool sent = false, received = false;
  for (int turn = 0; turn < 100000 && !(sent && received); ++turn) {
    sent = sent || StreamPair::Done(send);
    received = received || StreamPair::Done(receive);
    wire.Attend([&] {
      ++looked;
      for (size_t i = 0; i < to.size(); ++i) ASSERT_TRUE(to[i] == std::byte{0xee} || to[i] == from[i]) << i;
    });
  }
  EXPECT_TRUE(sent && received);
  EXPECT_GE(looked, 2u);
  EXPECT_EQ(to, from);
}

// Where no other circuit is looked for, it is the connection's end.
TEST(Checksum, AloneItEndsTheConnectionWithASentence) {
  BadWire wire(true, 100);
  wire.receiver->set_recovers(false);
  std::vector<std::byte> from(5000), to(5000);
  auto* receive = StreamPair::Post(*wire.receiver, to.data(), to.size());
  StreamPair::Post(*wire.sender, from.data(), from.size());
  Result<Progress> progress = Progress::kAgain;
  for (int turn = 0; turn < 1000 && progress; ++turn) {
    uint64_t bytes = 0;
    wire.sender->Attend(TimePoint{std::chrono::hours(1)}, false, [](const Attention&) {});
    progress = wire.receiver->Test(*receive, bytes);
  }
  ASSERT_FALSE(progress);
  EXPECT_EQ(progress.error().code, ErrorCode::kRemote);
  EXPECT_THAT(progress.error().what, AllOf(HasSubstr("A ab--ba B"), HasSubstr("flips bits")));
}

}  // namespace
}  // namespace relay::stream::checksum
