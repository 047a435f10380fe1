// The sending end of a direct lane: each message is one RDMA write (more above the device's limit) from the caller's
// memory into the receiver's, its size the immediate of the last. What the device reports as done is whole at the
// receiver: a reliable connection acknowledges by itself.
#pragma once
#include <memory>
#include <span>

#include "transport/rdma/cts_ring.h"
#include "transport/rdma/dialled_lane.h"
#include "transport/rdma/queue_pair.h"
#include "transport/rdma/window_memory.h"

namespace relay::transport::rdma {

// NCCL_NET_MAX_REQUESTS: requests per comm that NCCL may have in flight.
inline constexpr uint64_t kLaneMessages = 32;

class DirectSendLane final : public DialledLane {
 public:
  static Result<std::unique_ptr<DirectSendLane>> Make(std::shared_ptr<Device> device, Duration hop_timeout);

  HopOffer offer() const override;
  Status Connect(const HopOffer& far) override;

  Status Ring() override { return queue_pair_->Ring(); }
  int fd() const override { return queue_pair_->event_fd(); }
  Status Arm() override { return queue_pair_->Arm(); }
  void TakeEvents() override;
  uint64_t moved() const override { return moved_; }

  Result<std::optional<uint64_t>> CapacityOf(uint64_t message) override;
  Result<bool> Start(const LaneBuffer& buffer) override;
  Result<uint64_t> Whole() override;

 private:
  DirectSendLane(std::shared_ptr<Device> device, WindowMemory ring, std::unique_ptr<QueuePair> queue_pair);

  const std::shared_ptr<Device> device_;
  WindowMemory ring_;  // the receiver's CTS entries
  const Endpoint near_;
  std::unique_ptr<QueuePair> queue_pair_;  // goes first: nothing may be written into the ring afterwards
  CtsEntry cts_;                           // of message started_, once CapacityOf has found it
  bool has_cts_ = false;
  uint64_t started_ = 0, whole_ = 0, moved_ = 0;
};

}  // namespace relay::transport::rdma
