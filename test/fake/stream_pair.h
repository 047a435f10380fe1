// A connection inside one thread: both ends over one socketpair, driven by hand.
#pragma once
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <vector>

#include "base/fd.h"
#include "fake/streams.h"
#include "relay/transport.h"

namespace relay::fake {

inline constexpr uint64_t kEager = 1024;

inline stream::StreamOptions Options() {
  return {
      .peer = "peer", .segment = 4096, .recover_timeout = std::chrono::seconds(30), .linger = std::chrono::seconds(30)};
}

struct StreamPair {
  StreamPair() : StreamPair(Options()) {}
  explicit StreamPair(const stream::StreamOptions& options) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) std::abort();
    sender = MakeSender(End(fds[0]), options, send_counters, kEager);
    receiver = MakeReceiver(End(fds[1]), options, recv_counters, kEager);
  }
  std::unique_ptr<circuit::Circuit> End(int fd) {
    return std::make_unique<circuit::Circuit>(transport::AdoptSocket(fd), CircuitName{7, 0}, "A ab--ba B",
                                              send_counters);
  }
  static stream::Request* Post(stream::Stream& s, void* data, size_t size, bool in_order = false,
                               const void* region = nullptr) {
    auto r = s.Post({static_cast<std::byte*>(data), size, region}, in_order);
    EXPECT_TRUE(r) << (r ? "" : r.error().what);
    return r ? *r : nullptr;
  }
  static bool Done(stream::Request* r, uint64_t* size = nullptr) {
    uint64_t bytes = 0;
    auto p = r->stream->Test(*r, bytes);
    EXPECT_TRUE(p) << (p ? "" : p.error().what);
    if (size != nullptr) *size = bytes;
    return p && *p == Progress::kDone;
  }
  // Drives both ends until the request is done.
  void Finish(stream::Request* r, uint64_t* size = nullptr) {
    for (int i = 0; i < 100000; ++i) {
      if (Done(r, size)) return;
      Attend();
    }
    FAIL() << "the request never ends";
  }
  void Attend(TimePoint now = TimePoint{std::chrono::hours(1)}, bool housekeeping = false) {
    auto nothing = [](const stream::Attention&) {};
    sender->Attend(now, housekeeping, nothing);
    receiver->Attend(now, housekeeping, nothing);
  }

  Counters send_counters, recv_counters;
  std::shared_ptr<stream::SendStream> sender;
  std::shared_ptr<stream::RecvStream> receiver;
};

inline std::vector<std::byte> Pattern(size_t size, unsigned seed) {
  std::vector<std::byte> out(size);
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>((i * 131 + seed * 17 + i / 251) & 0xff);
  return out;
}

}  // namespace relay::fake
