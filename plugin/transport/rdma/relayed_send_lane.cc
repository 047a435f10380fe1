#include "transport/rdma/relayed_send_lane.h"

#include <algorithm>

namespace relay::transport::rdma {
namespace {

// A CTS for each message that may be under way, and acknowledgements between them.
constexpr uint32_t kBackSlots = 2 * kMaxRequests + PacketChannel::kSpareReceives;

}  // namespace

Result<std::unique_ptr<RelayedSendLane>> RelayedSendLane::Make(std::shared_ptr<Device> device, Duration hop_timeout) {
  auto channel =
      PacketChannel::Make(std::move(device), {.slots = kBackSlots, .sends = 128, .hop_timeout = hop_timeout});
  RELAY_TRY(channel);
  return std::unique_ptr<RelayedSendLane>(new RelayedSendLane(std::move(*channel)));
}

Status RelayedSendLane::Connect(const HopOffer& far) {
  if (far.slots == 0 || far.slot_bytes == 0) return Fail(ErrorCode::kRemote, "the relay offers no slots");
  return channel_->Connect(far);
}

Result<std::optional<uint64_t>> RelayedSendLane::CapacityOf(uint64_t message) {
  if (message != started_) return Fail(ErrorCode::kInternal, "a lane was asked for messages out of order");
  if (message >= announced_) return std::nullopt;
  return At(message).cts.capacity;
}

Result<bool> RelayedSendLane::Start(const LaneBuffer& buffer) {
  At(started_).buffer = buffer;
  At(started_).packets_out = 0;
  ++started_;
  return true;
}

void RelayedSendLane::SendPackets() {
  while (leaving_ != started_ && channel_->MaySend()) {
    Message& message = At(leaving_);
    const uint64_t total = message.buffer.size;
    const auto length = static_cast<uint32_t>(std::min<uint64_t>(channel_->far_slot_bytes(), total - leaving_offset_));
    const bool last = leaving_offset_ + length == total;
    const Piece payload{message.buffer.data + leaving_offset_, length, message.buffer.keys[0].local};
    channel_->Send({.type = PacketType::kData,
                    .key = message.cts.keys[0],
                    .message = leaving_,
                    .offset = leaving_offset_,
                    .length = length,
                    .total = static_cast<uint32_t>(total),
                    .address = message.cts.address},
                   &payload, leaving_);
    ++message.packets_out;
    leaving_offset_ = last ? 0 : leaving_offset_ + length;
    if (last) ++leaving_;
  }
}

Status RelayedSendLane::Ring() {
  SendPackets();
  return channel_->Ring();
}

Status RelayedSendLane::Take(const Packet& packet) {
  const bool due = packet.type != PacketType::kData && packet.whole >= acknowledged_ && packet.whole <= leaving_;
  if (!due) return Fail(ErrorCode::kRemote, "a packet that is not due: the peer breaks the protocol");
  acknowledged_ = packet.whole;
  if (packet.type == PacketType::kAck) return {};
  if (packet.message != announced_ || announced_ >= acknowledged_ + kMaxRequests) {
    return Fail(ErrorCode::kRemote, "CTS for message " + std::to_string(packet.message) + " where " +
                                        std::to_string(announced_) + " was due: the peer breaks the protocol");
  }
  At(announced_++).cts = {packet.address, packet.total, {packet.key}};
  return {};
}

Status RelayedSendLane::Take(const PacketChannel::Event& event) {
  if (event.kind == PacketChannel::Event::Kind::kSent) {
    --At(event.id).packets_out;
    return {};
  }
  if (event.kind != PacketChannel::Event::Kind::kArrived) {
    return Fail(ErrorCode::kRemote, "an immediate from a relay: it breaks the protocol");
  }
  auto packet = DecodePacket(std::span<const std::byte, kPacketBytes>(channel_->header(event.slot), kPacketBytes));
  RELAY_TRY(packet);
  RELAY_TRY(Take(*packet));
  channel_->GiveBack(event.slot);
  return {};
}

Result<uint64_t> RelayedSendLane::Whole() {
  PacketChannel::Event events[16];
  for (bool more = true; more;) {
    auto count = channel_->Poll(events);
    RELAY_TRY(count);
    for (const auto& event : std::span(events).first(*count)) RELAY_TRY(Take(event));
    moved_ += *count;
    more = *count != 0;
  }
  while (whole_ != acknowledged_ && At(whole_).packets_out == 0) ++whole_;
  return whole_;
}

}  // namespace relay::transport::rdma
