#include "circuit/circuit.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <deque>
#include <random>

#include "base/crc32c.h"
#include "fake/flipping_hop.h"
#include "fake/stream_pair.h"

namespace relay::circuit {
namespace {

// Takes a few bytes at a time, as a congested socket does.
class StutteringHop final : public transport::Hop {
 public:
  StutteringHop(std::unique_ptr<transport::Hop> hop, unsigned seed) : hop_(std::move(hop)), rng_(seed) {}
  Result<size_t> Send(std::span<const iovec> pieces) override {
    if (rng_() % 3 == 0) return 0;
    iovec piece{pieces[0].iov_base, std::min<size_t>(pieces[0].iov_len, 1 + rng_() % 100)};
    return hop_->Send({&piece, 1});
  }
  Result<size_t> Receive(std::span<const iovec> pieces) override {
    if (rng_() % 3 == 0) return 0;
    iovec piece{pieces[0].iov_base, std::min<size_t>(pieces[0].iov_len, 1 + rng_() % 100)};
    return hop_->Receive({&piece, 1});
  }
  bool closed() const override { return hop_->closed(); }
  void ShutdownSend() override { hop_->ShutdownSend(); }
  int fd() const override { return hop_->fd(); }

 private:
  std::unique_ptr<transport::Hop> hop_;
  std::mt19937 rng_;
};

struct Collector final : FrameSink {
  Status OnFrame(const FrameHeader& h) override {
    frames.push_back(h);
    payload.clear();
    payload.reserve(h.length);
    return {};
  }
  std::span<std::byte> PayloadSpace() override { return space; }
  void OnPayload(size_t n) override {
    payload.insert(payload.end(), space.begin(), space.begin() + static_cast<long>(n));
  }
  Status OnFrameEnd(const FrameHeader&) override {
    payloads.push_back(payload);
    return {};
  }
  std::array<std::byte, 64> space;
  std::vector<std::byte> payload;
  std::vector<FrameHeader> frames;
  std::vector<std::vector<std::byte>> payloads;
};

TEST(Circuit, FramesStayWholeHoweverTheHopCutsThem) {
  for (unsigned seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    int fds[2];
    ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds));
    Counters counters;
    Circuit a(std::make_unique<StutteringHop>(transport::AdoptSocket(fds[0]), seed), {}, "A B", counters);
    Circuit b(std::make_unique<StutteringHop>(transport::AdoptSocket(fds[1]), seed + 100), {}, "A B", counters);
    std::mt19937 rng(seed);
    Collector got;
    std::vector<FrameHeader> sent;
    std::deque<std::vector<std::byte>> payloads;
    while (sent.size() < 300 || a.wants_write() || got.payloads.size() < sent.size()) {
      if (sent.size() < 300 && rng() % 4 == 0) {
        FrameHeader ack{.type = FrameType::kAck, .message = sent.size()};
        if (a.QueueControl(ack)) {
          // A frame that is begun goes first; the order on the wire is checked by kind below.
          sent.push_back(ack);
        }
      } else if (sent.size() < 300 && !a.data_pending()) {
        payloads.push_back(fake::Pattern(rng() % 5000, rng()));
        FrameHeader data{.type = FrameType::kData,
                         .message = payloads.size() - 1,
                         .length = payloads.back().size(),
                         .total = payloads.back().size()};
        a.StartData(data, payloads.back().data());
        sent.push_back(data);
      }
      ASSERT_TRUE(a.Flush());
      ASSERT_TRUE(b.Receive(got));
    }
    size_t data = 0;
    for (size_t i = 0; i < got.frames.size(); ++i) {
      if (got.frames[i].type != FrameType::kData) continue;
      ASSERT_EQ(got.frames[i].message, data);
      ASSERT_EQ(got.payloads[i], payloads[data++]);
    }
    EXPECT_EQ(data, payloads.size());
    EXPECT_EQ(got.frames.size(), sent.size());
  }
}

// One DATA frame over a hop that flips a bit of each `every` bytes of payload.
struct Flipped {
  Flipped(bool checksums, uint64_t every, size_t size) : payload(fake::Pattern(size, 3)) {
    flips.every = every;
    int fds[2];
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds));
    Circuit a(transport::AdoptSocket(fds[0]), {}, "A B", counters);
    Circuit b(std::make_unique<fake::FlippingHop>(transport::AdoptSocket(fds[1]), flips), {}, "A B", counters);
    if (checksums) a.AddChecksums();
    a.StartData({.type = FrameType::kData, .length = size, .total = size}, payload.data());
    for (int i = 0; i < 1000 && received && got.payloads.empty(); ++i) {
      EXPECT_TRUE(a.Flush());
      received = b.Receive(got);
    }
  }
  std::vector<std::byte> payload;
  fake::Flips flips;
  Counters counters;
  Collector got;
  Result<Progress> received = Progress::kAgain;
};

TEST(Circuit, WhatArrivesWrongWithAChecksumIsAnErrorBeforeTheLastOfItIsTaken) {
  for (const uint64_t at : {1, 2, 777, 999, 1000}) {  // of 1000: the first, ... the last byte
    Flipped frame(true, at, 1000);
    ASSERT_FALSE(frame.received) << at;
    EXPECT_EQ(frame.received.error().code, ErrorCode::kRemote);
    EXPECT_NE(frame.received.error().what.find("flips bits"), std::string::npos);
    EXPECT_TRUE(frame.got.payloads.empty());
    EXPECT_LT(frame.got.payload.size(), 1000u);
    EXPECT_EQ(frame.counters.checksum_errors, 1u);
    EXPECT_GT(frame.flips.done, 0u);
  }
}

TEST(Circuit, WhatArrivesWrongWithoutAChecksumIsNotSeen) {
  Flipped frame(false, 777, 1000);
  ASSERT_TRUE(frame.received);
  ASSERT_EQ(frame.got.payloads.size(), 1u);
  EXPECT_NE(frame.got.payloads[0], frame.payload);
  EXPECT_EQ(frame.counters.checksum_errors, 0u);
}

TEST(Circuit, WhatArrivesRightWithAChecksumIsTaken) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{1000}, size_t{kMaxChecksummedBytes}}) {
    Flipped frame(true, 0, size);
    ASSERT_TRUE(frame.received) << frame.received.error().what;
    if (size != 0) {
      ASSERT_EQ(frame.got.payloads.size(), 1u);
      EXPECT_EQ(frame.got.payloads[0], frame.payload);
    }
    ASSERT_EQ(frame.got.frames.size(), 1u);
    EXPECT_EQ(frame.got.frames[0].flags, kChecksummed);
    EXPECT_EQ(frame.got.frames[0].checksum, Crc32c(frame.payload));
  }
}

TEST(Circuit, ControlFramesAreRefusedWhenNothingDrains) {
  int fds[2];
  ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds));
  Counters counters;
  Circuit a(transport::AdoptSocket(fds[0]), {}, "A B", counters);
  Fd other(fds[1]);
  int queued = 0;
  while (queued < 1000 && a.QueueControl({.type = FrameType::kAck})) ++queued;
  EXPECT_GE(queued, 64);
  EXPECT_LT(queued, 1000);
  ASSERT_TRUE(a.Flush());
  EXPECT_TRUE(a.QueueControl({.type = FrameType::kAck}));
}

}  // namespace
}  // namespace relay::circuit
