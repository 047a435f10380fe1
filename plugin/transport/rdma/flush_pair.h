// A queue pair of a device with itself. What the device has written into GPU memory may still be on its way there when
// the completion is read from host memory; a read by the same device cannot overtake it, so that once the read is done
// everyone sees what was written before it was started. Not thread-safe; allocates nothing once made.
#pragma once
#include <array>
#include <memory>

#include "base/clock.h"
#include "transport/rdma/queue_pair.h"
#include "transport/rdma/window_memory.h"

namespace relay::transport::rdma {

class FlushPair {
 public:
  static constexpr uint32_t kMost = 64;  // reads under way

  // Connected to itself: by its own LID, or by an address of its own port.
  static Result<std::unique_ptr<FlushPair>> Make(std::shared_ptr<Device> device, Duration hop_timeout);

  bool HasRoom() const { return queue_pair_->HasRoom(1); }
  // Reads one byte of memory that is registered on this device. The caller asked HasRoom, and keeps the registration
  // until the read is done.
  Status Start(Remote from);
  // Reads started, and how many of them are done, in their order. An error is the end of the pair: a read that failed,
  // or a device that is gone and would never finish one.
  uint64_t started() const { return started_; }
  Result<uint64_t> Done();

  // A thread that sleeps calls Arm, asks Done, waits until the descriptor is readable, and calls TakeEvents.
  int fd() const { return queue_pair_->event_fd(); }
  Status Arm() { return queue_pair_->Arm(); }
  void TakeEvents() { queue_pair_->TakeEvents(); }

 private:
  FlushPair(std::shared_ptr<Device> device, WindowMemory sink, std::unique_ptr<QueuePair> queue_pair)
      : device_(std::move(device)), sink_(std::move(sink)), queue_pair_(std::move(queue_pair)) {}

  const std::shared_ptr<Device> device_;
  WindowMemory sink_;                      // where the bytes go that nobody wants
  std::unique_ptr<QueuePair> queue_pair_;  // goes first
  uint64_t started_ = 0, done_ = 0, waited_ = 0;
  std::array<Completion, 16> completions_;
};

}  // namespace relay::transport::rdma
