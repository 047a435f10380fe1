// What deregMr promises: when it has returned, no thread touches the memory for this connection any more.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <span>
#include <thread>

#include "fake/stream_pair.h"
#include "fake/thread_state.h"

namespace relay {
namespace {

// A gate that a thread stops at and another opens.
class Gate {
 public:
  void Stop() {
    std::unique_lock lock(mutex_);
    reached_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  void AwaitReached() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return reached_; });
  }
  void Open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool reached_ = false, open_ = false;
};

// Stops in the middle of its first receive into the posted buffer, as a thread does that loses its core there.
class SlowHop final : public transport::Hop {
 public:
  SlowHop(std::unique_ptr<transport::Hop> hop, std::span<const std::byte> buffer, Gate& gate)
      : hop_(std::move(hop)), buffer_(buffer), gate_(gate) {}
  Result<size_t> Send(std::span<const iovec> pieces) override { return hop_->Send(pieces); }
  Result<size_t> Receive(std::span<const iovec> pieces) override {
    for (const iovec& piece : pieces) {
      auto* at = static_cast<const std::byte*>(piece.iov_base);
      bool inside = at >= buffer_.data() && at < buffer_.data() + buffer_.size();
      if (inside && !std::exchange(stopped_, true)) gate_.Stop();
    }
    return hop_->Receive(pieces);
  }
  bool closed() const override { return hop_->closed(); }
  void ShutdownSend() override { hop_->ShutdownSend(); }
  int fd() const override { return hop_->fd(); }

 private:
  std::unique_ptr<transport::Hop> hop_;
  const std::span<const std::byte> buffer_;
  Gate& gate_;
  bool stopped_ = false;
};

TEST(CancelRegion, WaitsForAThreadThatIsPlacingData) {
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
  std::vector<std::byte> in(1 << 20), out(1 << 20, std::byte{7});
  Counters counters;
  Gate gate;
  int region = 0;
  auto circuit = [&](std::unique_ptr<transport::Hop> hop) {
    return std::make_unique<circuit::Circuit>(std::move(hop), CircuitName{}, "A B", counters);
  };
  const auto sending =
      fake::MakeSender(circuit(transport::AdoptSocket(fds[0])), fake::Options(), counters, fake::kEager);
  const auto receiving =
      fake::MakeReceiver(circuit(std::make_unique<SlowHop>(transport::AdoptSocket(fds[1]), in, gate)), fake::Options(),
                         counters, fake::kEager);
  stream::Stream &sender = *sending, &receiver = *receiving;
  auto* recv = fake::StreamPair::Post(receiver, in.data(), in.size(), false, &region);
  auto* send = fake::StreamPair::Post(sender, out.data(), out.size());
  std::thread driver([&] {  // as the service thread would
    uint64_t size = 0;
    while (receiver.Test(*recv, size)) (void)sender.Test(*send, size);  // without pause: the other thread gets its turn
  });
  gate.AwaitReached();
  std::atomic<bool> returned{false};
  std::atomic<pid_t> waiting{0};
  std::thread deregister([&] {
    waiting = gettid();
    receiver.CancelRegion(&region);
    returned = true;
  });
  while (!returned && (waiting == 0 || !fake::IsAsleep(waiting))) std::this_thread::yield();
  EXPECT_FALSE(returned) << "the memory would be unmapped under a thread that writes to it";
  gate.Open();
  deregister.join();
  auto after = in;
  driver.join();
  EXPECT_EQ(in, after);
}

}  // namespace
}  // namespace relay
