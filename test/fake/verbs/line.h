// A link with a connected queue pair on each end and a buffer on each side, for tests of what goes over it.
#pragma once
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <vector>

#include "fake/verbs/joined.h"

namespace relay::fake {

struct Line {
  explicit Line(FakeVerbs::Pump pump = FakeVerbs::Pump::kPerPost, const transport::rdma::Depths& depths = {})
      : fake(pump) {
    fake.AddLink("a0", "b0");
    a = OpenEnd(fake, "a0", depths);
    b = OpenEnd(fake, "b0", depths);
    const auto joined = Join(a, b);
    EXPECT_TRUE(joined) << joined.error().what;
    near = MakeBuffer(*a.device, 4096, 3);
    far = MakeBuffer(*b.device, 4096);
  }
  void Write(size_t bytes, uint64_t id, const transport::rdma::SendOptions& options = {}) {
    const transport::rdma::Piece piece = near.piece(0, bytes);
    a.pair->Write({&piece, 1}, far.remote(), id, options);
  }
  bool Same(size_t bytes) const {
    return std::equal(near.bytes.begin(), near.bytes.begin() + long(bytes), far.bytes.begin());
  }

  FakeVerbs fake;
  Buffer near, far;  // outlive the queue pairs, which name them
  End a, b;
};

inline std::vector<transport::rdma::Completion> PollAll(transport::rdma::QueuePair& pair) {
  std::array<transport::rdma::Completion, 64> out;
  const auto count = pair.Poll(out);
  EXPECT_TRUE(count) << count.error().what;
  return {out.begin(), out.begin() + (count ? static_cast<long>(*count) : 0)};
}

inline Error PollError(transport::rdma::QueuePair& pair) {
  std::array<transport::rdma::Completion, 64> out;
  const auto count = pair.Poll(out);
  EXPECT_FALSE(count);
  return count ? Error{} : count.error();
}

inline bool ChannelReadable(const transport::rdma::QueuePair& pair) {
  pollfd p{pair.event_fd(), POLLIN, 0};
  return poll(&p, 1, 0) == 1;
}

}  // namespace relay::fake
