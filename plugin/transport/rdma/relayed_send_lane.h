// The sending end of a relayed lane: messages leave as packets into the first relay's slots, as far as its credit goes.
// A message is done when the receiver says that it has it, and the device that it names its memory no more.
#pragma once
#include <array>
#include <memory>

#include "transport/rdma/cts_ring.h"
#include "transport/rdma/direct_send_lane.h"
#include "transport/rdma/packet_channel.h"

namespace relay::transport::rdma {

class RelayedSendLane final : public DialledLane {
 public:
  static Result<std::unique_ptr<RelayedSendLane>> Make(std::shared_ptr<Device> device, Duration hop_timeout);

  HopOffer offer() const override { return channel_->offer(); }
  Status Connect(const HopOffer& far) override;

  Status Ring() override;
  int fd() const override { return channel_->fd(); }
  Status Arm() override { return channel_->Arm(); }
  void TakeEvents() override { channel_->TakeEvents(); }
  uint64_t moved() const override { return moved_; }

  Result<std::optional<uint64_t>> CapacityOf(uint64_t message) override;
  Result<bool> Start(const LaneBuffer& buffer) override;
  Result<uint64_t> Whole() override;

 private:
  struct Message {
    CtsEntry cts;
    LaneBuffer buffer;
    uint32_t packets_out = 0;  // that the device still holds
  };

  explicit RelayedSendLane(std::unique_ptr<PacketChannel> channel) : channel_(std::move(channel)) {}
  Message& At(uint64_t message) { return messages_[message % kMaxRequests]; }
  Status Take(const PacketChannel::Event& event);
  Status Take(const Packet& packet);
  void SendPackets();

  std::unique_ptr<PacketChannel> channel_;
  std::array<Message, kMaxRequests> messages_;
  uint64_t announced_ = 0;  // messages below have their CTS
  uint64_t started_ = 0;
  uint64_t leaving_ = 0;  // the message whose packets leave now; those below have left
  uint64_t leaving_offset_ = 0;
  uint64_t acknowledged_ = 0, whole_ = 0, moved_ = 0;
};

}  // namespace relay::transport::rdma
