// The receiving end of a direct lane: every posted receive is written into the sender's memory, and each message that
// has been written into its buffer is reported by one completion with its size.
#pragma once
#include <array>
#include <memory>

#include "base/socket_address.h"
#include "relay/lane.h"
#include "transport/rdma/direct_send_lane.h"

namespace relay::transport::rdma {

class DirectRecvLane final : public RecvLane {
 public:
  // Of the hop's socket, where known: they tell which of the devices' addresses belong to this link.
  struct Addresses {
    std::optional<SocketAddress> near, far;
  };
  // Ready to be written to as soon as this returns.
  static Result<std::unique_ptr<DirectRecvLane>> Make(std::shared_ptr<Device> device, const HopOffer& far,
                                                      const Addresses& addresses, Duration hop_timeout);
  // The answer to the offer of Make.
  HopOffer offer() const;

  Status Ring() override { return queue_pair_->Ring(); }
  int fd() const override { return queue_pair_->event_fd(); }
  Status Arm() override { return queue_pair_->Arm(); }
  void TakeEvents() override;
  uint64_t moved() const override { return moved_; }

  Result<bool> Announce(const LaneBuffer& buffer) override;
  Result<std::optional<uint64_t>> NextWhole() override;

 private:
  DirectRecvLane(std::shared_ptr<Device> device, WindowMemory news, std::unique_ptr<QueuePair> queue_pair,
                 Endpoint near, Window ring);
  Status Poll();

  const std::shared_ptr<Device> device_;
  WindowMemory news_;  // entries on their way, for devices that do not take them inline
  std::unique_ptr<QueuePair> queue_pair_;
  const Endpoint near_;
  const Window ring_;  // the sender's
  uint64_t announced_ = 0, whole_ = 0, moved_ = 0;
  std::array<Completion, 16> completions_;
  size_t next_ = 0, count_ = 0;  // of completions_
};

}  // namespace relay::transport::rdma
