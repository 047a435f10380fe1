#include "transport/rdma/direct_send_lane.h"

#include <algorithm>

namespace relay::transport::rdma {
namespace {

// A message above the device's limit takes several writes, and few are under way at once.
constexpr uint32_t kQueuedWrites = 2 * kLaneMessages;
constexpr size_t kPollShare = 16;

}  // namespace

DirectSendLane::DirectSendLane(std::shared_ptr<Device> device, WindowMemory ring, std::unique_ptr<QueuePair> queue_pair)
    : device_(std::move(device)),
      ring_(std::move(ring)),
      near_(queue_pair->near()),
      queue_pair_(std::move(queue_pair)) {}

Result<std::unique_ptr<DirectSendLane>> DirectSendLane::Make(std::shared_ptr<Device> device, Duration hop_timeout) {
  auto ring = WindowMemory::Make(*device, kLaneMessages * kCtsEntryBytes);
  if (!ring) return tl::unexpected(std::move(ring).error());
  auto queue_pair = QueuePair::Create(
      device, {.sends = kQueuedWrites, .receives = 1, .pieces = 1, .inline_bytes = 0, .hop_timeout = hop_timeout});
  if (!queue_pair) return tl::unexpected(std::move(queue_pair).error());
  return std::unique_ptr<DirectSendLane>(
      new DirectSendLane(std::move(device), std::move(*ring), std::move(*queue_pair)));
}

HopOffer DirectSendLane::offer() const { return {.endpoint = near_, .window = ring_.window()}; }

Status DirectSendLane::Connect(const HopOffer& far) {
  const GidPair pair{far.endpoint.chosen, far.endpoint.own};
  const bool chosen = pair.near < near_.gids.size() && pair.far < far.endpoint.gids.size();
  if (!chosen) return Fail(ErrorCode::kRemote, "the receiver chose addresses for RDMA that neither side has");
  return queue_pair_->Connect(far.endpoint, pair);
}

void DirectSendLane::TakeEvents() {
  queue_pair_->TakeEvents();
  device_->TakeEvents();
}

Result<std::optional<uint64_t>> DirectSendLane::CapacityOf(uint64_t message) {
  if (message != started_) return Fail(ErrorCode::kInternal, "a lane was asked for messages out of order");
  if (!has_cts_) {
    auto entry = ReadCts(ring_.data() + message % kLaneMessages * kCtsEntryBytes, message);
    if (!entry) return std::nullopt;
    cts_ = *entry;
    has_cts_ = true;
    ++moved_;
  }
  return cts_.capacity;
}

Result<bool> DirectSendLane::Start(const LaneBuffer& buffer) {
  const uint64_t most = device_->max_message();
  const auto writes = static_cast<uint32_t>(std::max<uint64_t>(1, (buffer.size + most - 1) / most));
  if (!queue_pair_->HasRoom(writes)) return false;
  for (uint32_t i = 0; i < writes; ++i) {
    const uint64_t offset = i * most;
    const bool last = i + 1 == writes;
    const Piece piece{buffer.data + offset, static_cast<uint32_t>(std::min(most, buffer.size - offset)),
                      buffer.keys.local};
    SendOptions options{.signaled = last, .solicited = last};
    if (last) options.immediate = static_cast<uint32_t>(buffer.size);
    queue_pair_->Write(std::span(&piece, piece.bytes == 0 ? 0 : 1), {cts_.address + offset, cts_.key}, started_,
                       options);
  }
  ++started_;
  has_cts_ = false;
  return true;
}

Result<uint64_t> DirectSendLane::Whole() {
  Completion completions[kPollShare];
  auto count = queue_pair_->Poll(completions);
  if (!count) return tl::unexpected(std::move(count).error());
  for (size_t i = 0; i < *count; ++i) {
    if (completions[i].id != whole_ || whole_ >= started_) {
      return Fail(ErrorCode::kInternal, "a device reports writes done out of order");
    }
    ++whole_;
  }
  moved_ += *count;
  return whole_;
}

}  // namespace relay::transport::rdma
