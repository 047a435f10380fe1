// A peer that breaks the protocol ends its own connection with an error, on every path; it never makes this end write
// outside a posted buffer, complete a request early, or wait for ever.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <type_traits>

#include "base/fd.h"
#include "fake/stream_pair.h"

namespace relay {
namespace {

using fake::Pattern;

// One real end, and a bare socket to say anything on.
template <class StreamType>
struct Victim {
  // `recovers`: whether it may go on over another circuit when this one is lost.
  explicit Victim(bool recovers = false) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) std::abort();
    auto circuit = std::make_unique<circuit::Circuit>(transport::AdoptSocket(fds[0]), CircuitName{}, "A B", counters);
    if constexpr (std::is_same_v<StreamType, stream::SendStream>) {
      stream = fake::MakeSender(std::move(circuit), fake::Options(), counters, fake::kEager);
    } else {
      stream = fake::MakeReceiver(std::move(circuit), fake::Options(), counters, fake::kEager);
    }
    stream->set_recovers(recovers);
    peer = Fd(fds[1]);
  }
  void Say(const FrameHeader& h, std::span<const std::byte> payload = {}) {
    FrameBytes bytes = EncodeFrame(h);
    ASSERT_EQ(::send(peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    ssize_t sent = ::send(peer.get(), payload.data(), payload.size(), MSG_NOSIGNAL);
    ASSERT_EQ(sent, static_cast<ssize_t>(payload.size()));
  }
  // The error the next request meets, empty when there is none.
  std::string Error() {
    stream->Attend(TimePoint{}, false, [](const auto&) {});
    std::byte byte{};
    auto posted = stream->Post({&byte, 1, nullptr}, false);
    return posted ? "" : posted.error().what;
  }
  Counters counters;
  std::shared_ptr<StreamType> stream;
  Fd peer;
};

using Sender = Victim<stream::SendStream>;
using Receiver = Victim<stream::RecvStream>;

TEST(HostilePeer, ASenderRefusesWhatNoReceiverMaySay) {
  const FrameHeader kBad[] = {
      {.type = FrameType::kAck, .message = 1},
      {.type = FrameType::kAck, .message = ~uint64_t{0}},
      {.type = FrameType::kCts, .message = 1, .total = 8},
      {.type = FrameType::kCts, .message = 0, .total = 8, .extra = 3},
      {.type = FrameType::kData},
      {.type = FrameType::kResume},
      {.type = FrameType::kClose, .extra = 1},
  };
  for (const FrameHeader& bad : kBad) {
    for (const bool recovers : {false, true}) {
      Sender victim(recovers);
      victim.Say(bad);
      EXPECT_NE(victim.Error(), "") << static_cast<int>(bad.type) << " " << bad.message << " " << recovers;
    }
  }
  Sender flood;
  for (uint64_t m = 0; m <= kMaxRequests; ++m) flood.Say({.type = FrameType::kCts, .message = m, .total = 8});
  EXPECT_NE(flood.Error(), "") << "more receives posted than NCCL may post";
}

TEST(HostilePeer, AReceiverRefusesWhatNoSenderMaySay) {
  auto payload = Pattern(fake::kEager + 1, 1);
  struct Case {
    FrameHeader header;
    size_t payload;
  };
  const Case kBad[] = {
      {{.type = FrameType::kCts}, 0},
      {{.type = FrameType::kAck}, 0},
      {{.type = FrameType::kData, .message = 1, .length = 8, .total = 8}, 8},
      {{.type = FrameType::kData, .message = 0, .length = fake::kEager + 1, .total = fake::kEager + 1},
       fake::kEager + 1},
      {{.type = FrameType::kData, .message = 0, .offset = 8, .length = 8, .total = 16}, 8},
  };
  for (const Case& bad : kBad) {
    for (const bool recovers : {false, true}) {
      Receiver victim(recovers);
      victim.Say(bad.header, std::span(payload).first(bad.payload));
      EXPECT_NE(victim.Error(), "") << bad.header.message << " " << bad.header.offset << " " << recovers;
    }
  }
  Receiver changed;
  changed.Say({.type = FrameType::kData, .message = 0, .length = 8, .total = 16}, std::span(payload).first(8));
  changed.Say({.type = FrameType::kData, .message = 0, .offset = 8, .length = 16, .total = 24},
              std::span(payload).first(16));
  EXPECT_NE(changed.Error(), "") << "a message may not change its size";
  Receiver ninth;
  for (uint64_t m = 0; m <= stream::kEagerMessages; ++m) {
    ninth.Say({.type = FrameType::kData, .message = m, .length = 1, .total = 1}, std::span(payload).first(1));
  }
  EXPECT_NE(ninth.Error(), "") << "more eager messages than there are slots";
}

TEST(HostilePeer, AnAcknowledgementOfAMessageStillBeingSentIsRefused) {
  Sender victim;
  auto out = Pattern(32 << 20, 1);
  auto posted = victim.stream->Post({out.data(), out.size(), nullptr}, false);
  ASSERT_TRUE(posted);
  victim.Say({.type = FrameType::kCts, .message = 0, .total = out.size()});
  uint64_t size = 0;
  ASSERT_TRUE(victim.stream->Test(**posted, size));
  victim.Say({.type = FrameType::kAck, .message = 1});
  EXPECT_FALSE(victim.stream->Test(**posted, size)) << "its bytes are not all sent";
}

// Mostly what an honest sender says, so that the odd frame among it meets a receiver in the middle of its work.
FrameHeader NextFrame(std::mt19937_64& random, uint64_t& message, uint64_t& sent) {
  constexpr uint64_t kTotal = 256;
  if (random() % 6 == 0) {
    return {.type = random() % 4 ? FrameType::kData : static_cast<FrameType>(1 + random() % 7),
            .flags = static_cast<uint16_t>(random() % 2),
            .message = message + random() % 3 - 1,
            .offset = random() % 2 ? sent : random() % 512,
            .length = random() % 512,
            .total = random() % 2 ? kTotal : random() % 1024};
  }
  const uint64_t length = std::min<uint64_t>(1 + random() % 100, kTotal - sent);
  FrameHeader next{.type = FrameType::kData, .message = message, .offset = sent, .length = length, .total = kTotal};
  sent += length;
  if (sent < kTotal) return next;
  ++message;
  sent = 0;
  return next;
}

TEST(HostilePeer, RandomFramesNeverWriteOutsideThePostedBuffer) {
  size_t written = 0, ended = 0;
  for (unsigned seed = 1; seed <= 1000; ++seed) {
    std::mt19937_64 random(seed);
    Receiver victim;
    std::vector<std::byte> buffer(64 + 256 + 64, std::byte{0xee});
    const auto payload = Pattern(4096, seed);
    uint64_t message = 0, sent = 0;
    for (int step = 0; step < 30; ++step) {
      if (random() % 2) (void)victim.stream->Post({buffer.data() + 64, 256, nullptr}, random() % 2);
      const FrameHeader header = NextFrame(random, message, sent);
      const FrameBytes bytes = EncodeFrame(header);
      if (::send(victim.peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) break;
      if (header.type == FrameType::kData && ::send(victim.peer.get(), payload.data(), header.length, MSG_NOSIGNAL) < 0)
        break;
      victim.stream->Attend(TimePoint{}, true, [](const auto&) {});
    }
    for (size_t i = 0; i < 64; ++i) {
      ASSERT_EQ(buffer[i], std::byte{0xee}) << seed;
      ASSERT_EQ(buffer[buffer.size() - 1 - i], std::byte{0xee}) << seed;
    }
    written += std::ranges::count(std::span(buffer).subspan(64, 256), std::byte{0xee}) < 250;
    ended += victim.Error() != "";
  }
  EXPECT_GT(written, 300u) << "too few of them get as far as the buffer";
  EXPECT_GT(ended, 300u) << "too few of them are hostile";
}

}  // namespace
}  // namespace relay
