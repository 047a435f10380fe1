// A connection whose messages devices carry, inside one thread: both ends over one socketpair and the ends of one lane.
#pragma once
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "fake/stream_pair.h"

namespace relay::fake {

// `Lanes` holds the two ends of a connected lane, `sender` and `receiver`.
template <class Lanes>
struct LaneStreamPair {
  template <class... Arguments>
  explicit LaneStreamPair(Arguments&&... arguments) : lanes(std::forward<Arguments>(arguments)...) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) std::abort();
    const auto circuit = [&](int fd) {
      return std::make_unique<circuit::Circuit>(transport::AdoptSocket(fd), CircuitName{7, 0}, "A ab--ba B", counters);
    };
    sender = MakeSender(circuit(fds[0]), std::move(lanes.sender), Options(), counters);
    receiver = MakeReceiver(circuit(fds[1]), std::move(lanes.receiver), Options(), counters);
  }

  template <class Memory>
  static stream::Request* Post(stream::Stream& stream, Memory& memory, size_t size, const void* region = nullptr) {
    const auto b = memory.buffer(size);
    auto r = stream.Post({b.data, size, region, b.keys}, false);
    EXPECT_TRUE(r) << (r ? "" : r.error().what);
    return r ? *r : nullptr;
  }
  void Attend(TimePoint now = TimePoint{std::chrono::hours(1)}) {
    auto nothing = [](const stream::Attention&) {};
    sender_left = sender->Attend(now, false, nothing);
    receiver_left = receiver->Attend(now, false, nothing);
  }
  struct Outcome {
    std::string error;  // its sentence, empty when the request is done, or kNotYet when the patience is over
    uint64_t size = 0;
  };
  static constexpr const char* kNotYet = "not yet";
  Outcome Await(stream::Request* request, int patience = 10000) {
    Outcome out;
    for (int i = 0; i < patience; ++i) {
      auto progress = request->stream->Test(*request, out.size);
      if (!progress) return {progress.error().what, 0};
      if (*progress == Progress::kDone) return out;
      Attend();
    }
    return {kNotYet, 0};
  }
  std::string Finish(stream::Request* request, int patience = 10000) { return Await(request, patience).error; }

  Counters counters;
  Lanes lanes;
  std::shared_ptr<stream::SendStream> sender;
  std::shared_ptr<stream::RecvStream> receiver;
  stream::Attention sender_left, receiver_left;
};

}  // namespace relay::fake
