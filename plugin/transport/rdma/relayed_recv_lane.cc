#include "transport/rdma/relayed_recv_lane.h"

namespace relay::transport::rdma {
namespace {

tl::unexpected<Error> OutOfOrder() {
  return Fail(ErrorCode::kRemote, "a message out of order: the last relay breaks the protocol");
}

}  // namespace

Result<std::unique_ptr<RelayedRecvLane>> RelayedRecvLane::Make(std::shared_ptr<Device> device, const HopOffer& far,
                                                               const DirectRecvLane::Addresses& addresses,
                                                               Duration hop_timeout) {
  if (far.slots == 0) return Fail(ErrorCode::kRemote, "the relay offers no slots");
  auto channel = PacketChannel::Make(
      std::move(device), {.sends = 64, .immediates = static_cast<uint32_t>(kMaxRequests), .hop_timeout = hop_timeout});
  RELAY_TRY(channel);
  RELAY_TRY((*channel)->Accept(far, addresses.near, addresses.far));
  return std::unique_ptr<RelayedRecvLane>(new RelayedRecvLane(std::move(*channel)));
}

Result<bool> RelayedRecvLane::Announce(const LaneBuffer& buffer) {
  if (announced_ == whole_ + kMaxRequests || !channel_->MaySend()) return false;
  // Before the news of it leaves: the relay's immediate always meets a posted receive.
  channel_->ExpectImmediate();
  channel_->Send({.type = PacketType::kCts,
                  .key = buffer.keys[0].remote,
                  .message = announced_,
                  .total = static_cast<uint32_t>(buffer.size),
                  .address = reinterpret_cast<uint64_t>(buffer.data),
                  .whole = whole_},
                 nullptr, announced_);
  ++announced_;
  acknowledged_ = whole_;
  return true;
}

// An acknowledgement of its own only where no CTS carries it.
Status RelayedRecvLane::Ring() {
  if (acknowledged_ != whole_ && channel_->MaySend()) {
    channel_->Send({.type = PacketType::kAck, .whole = whole_}, nullptr, whole_);
    acknowledged_ = whole_;
  }
  return channel_->Ring();
}

Result<std::optional<uint64_t>> RelayedRecvLane::NextWhole() {
  while (true) {
    if (next_ == count_ && fenced_) {
      if (last_begin_ == last_end_) return std::nullopt;
      return TakeWhole(last_sizes_[last_begin_++]);
    }
    if (next_ == count_) {
      auto count = channel_->Poll(events_);
      RELAY_TRY(count);
      next_ = 0;
      count_ = *count;
      moved_ += count_;
      if (count_ == 0) return std::nullopt;
    }
    const PacketChannel::Event& event = events_[next_++];
    if (event.kind == PacketChannel::Event::Kind::kSent) continue;
    if (event.kind != PacketChannel::Event::Kind::kImmediate) return OutOfOrder();
    return TakeWhole(event.immediate);
  }
}

Result<std::optional<uint64_t>> RelayedRecvLane::TakeWhole(uint32_t size) {
  if (whole_ == announced_) return OutOfOrder();
  ++whole_;
  return std::optional<uint64_t>(size);
}

Status RelayedRecvLane::Fence() {
  if (std::exchange(fenced_, true)) return {};
  return channel_->Fence([this](uint32_t size) -> Status {
    if (last_end_ == last_sizes_.size()) return OutOfOrder();
    ++moved_;
    last_sizes_[last_end_++] = size;
    return {};
  });
}

}  // namespace relay::transport::rdma
