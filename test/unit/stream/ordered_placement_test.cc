// Which memory a hop writes into. A receive from a socket promises no order of its stores, so what a GPU may be polling
// is never given to a hop.
#include <gtest/gtest.h>

#include "base/fd.h"
#include "fake/stream_pair.h"

namespace relay {
namespace {

using fake::Pattern;

class RecordingHop final : public transport::Hop {
 public:
  RecordingHop(std::unique_ptr<transport::Hop> hop, std::span<const std::byte> watched)
      : hop_(std::move(hop)), watched_(watched) {}
  Result<size_t> Send(std::span<const iovec> pieces) override { return hop_->Send(pieces); }
  Result<size_t> Receive(std::span<const iovec> pieces) override {
    for (const iovec& piece : pieces) {
      auto* begin = static_cast<const std::byte*>(piece.iov_base);
      wrote_into_watched =
          wrote_into_watched || (begin + piece.iov_len > watched_.data() && begin < watched_.data() + watched_.size());
    }
    return hop_->Receive(pieces);
  }
  bool closed() const override { return hop_->closed(); }
  void ShutdownSend() override { hop_->ShutdownSend(); }
  int fd() const override { return hop_->fd(); }

  static inline bool wrote_into_watched = false;

 private:
  std::unique_ptr<transport::Hop> hop_;
  std::span<const std::byte> watched_;
};

// True when the hop was given the posted buffer itself.
bool HopWritesIntoTheBuffer(size_t size, bool in_order) {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0) std::abort();
  std::vector<std::byte> in(size);
  auto out = Pattern(size, 9);
  Counters counters;
  RecordingHop::wrote_into_watched = false;
  auto circuit = [&](std::unique_ptr<transport::Hop> hop) {
    return std::make_unique<circuit::Circuit>(std::move(hop), CircuitName{}, "A B", counters);
  };
  auto sender = fake::MakeSender(circuit(transport::AdoptSocket(fds[0])), fake::Options(), counters, fake::kEager);
  auto receiver = fake::MakeReceiver(circuit(std::make_unique<RecordingHop>(transport::AdoptSocket(fds[1]), in)),
                                     fake::Options(), counters, fake::kEager);
  auto* recv = fake::StreamPair::Post(*receiver, in.data(), in.size(), in_order);
  auto* send = fake::StreamPair::Post(*sender, out.data(), out.size());
  for (int i = 0; i < 100000 && !fake::StreamPair::Done(recv); ++i) (void)fake::StreamPair::Done(send);
  EXPECT_EQ(in, out);
  EXPECT_EQ(counters.placed_bytes, RecordingHop::wrote_into_watched ? 0 : size);
  return RecordingHop::wrote_into_watched;
}

TEST(OrderedPlacement, NoHopWritesIntoABufferThatMayHoldFlags) {
  EXPECT_FALSE(HopWritesIntoTheBuffer(8, false));
  EXPECT_FALSE(HopWritesIntoTheBuffer(65536, false)) << "an LL slot is this large";
  EXPECT_FALSE(HopWritesIntoTheBuffer(614400, true)) << "NCCL said that it looks at the data itself";
}

TEST(OrderedPlacement, LargeMessagesWithoutTheHintAreNotCopied) { EXPECT_TRUE(HopWritesIntoTheBuffer(1 << 20, false)); }

}  // namespace
}  // namespace relay
