// The receiving end of a relayed lane: the last relay writes into the posted buffer. Posted receives are announced, and
// whole messages acknowledged, by packets that go back through the relays.
#pragma once
#include <array>
#include <memory>

#include "relay/lane.h"
#include "transport/rdma/direct_recv_lane.h"
#include "transport/rdma/packet_channel.h"

namespace relay::transport::rdma {

class RelayedRecvLane final : public RecvLane {
 public:
  static Result<std::unique_ptr<RelayedRecvLane>> Make(std::shared_ptr<Device> device, const HopOffer& far,
                                                       const DirectRecvLane::Addresses& addresses,
                                                       Duration hop_timeout);
  HopOffer offer() const { return channel_->offer(); }

  Status Ring() override;
  int fd() const override { return channel_->fd(); }
  Status Arm() override { return channel_->Arm(); }
  void TakeEvents() override { channel_->TakeEvents(); }
  uint64_t moved() const override { return moved_; }

  Result<bool> Announce(const LaneBuffer& buffer) override;
  Result<std::optional<uint64_t>> NextWhole() override;
  Status Fence() override;

 private:
  Result<std::optional<uint64_t>> TakeWhole(uint32_t size);

  explicit RelayedRecvLane(std::unique_ptr<PacketChannel> channel) : channel_(std::move(channel)) {}

  std::unique_ptr<PacketChannel> channel_;
  uint64_t announced_ = 0, whole_ = 0, acknowledged_ = 0, moved_ = 0;
  std::array<PacketChannel::Event, 16> events_;
  size_t next_ = 0, count_ = 0;  // of events_
  // Once fenced: the sizes of messages that had come and were not polled.
  std::array<uint32_t, kMaxRequests> last_sizes_{};
  uint64_t last_begin_ = 0, last_end_ = 0;
  bool fenced_ = false;
};

}  // namespace relay::transport::rdma
