#include "transport/rdma/direct_recv_lane.h"

#include <cstring>

#include "transport/rdma/gid_choice.h"

namespace relay::transport::rdma {
namespace {

constexpr uint32_t kQueuedEntries = 2 * kLaneMessages;
// Every so many entries one asks for a completion, which frees the places of those before.
constexpr uint64_t kEntrySignal = 16;
static_assert(kEntrySignal <= kLaneMessages);

}  // namespace

DirectRecvLane::DirectRecvLane(std::shared_ptr<Device> device, WindowMemory news, std::unique_ptr<QueuePair> queue_pair,
                               Endpoint near, Window ring)
    : device_(std::move(device)),
      news_(std::move(news)),
      queue_pair_(std::move(queue_pair)),
      near_(std::move(near)),
      ring_(ring) {}

Result<std::unique_ptr<DirectRecvLane>> DirectRecvLane::Make(std::shared_ptr<Device> device, const HopOffer& far,
                                                             const Addresses& addresses, Duration hop_timeout) {
  auto news = WindowMemory::Make(*device, kLaneMessages * kCtsEntryBytes);
  if (!news) return tl::unexpected(std::move(news).error());
  auto queue_pair = QueuePair::Create(device, {.sends = kQueuedEntries,
                                               .receives = kLaneMessages,
                                               .pieces = 1,
                                               .inline_bytes = kCtsEntryBytes,
                                               .hop_timeout = hop_timeout});
  if (!queue_pair) return tl::unexpected(std::move(queue_pair).error());
  Endpoint near = (*queue_pair)->near();
  auto pair = ChooseGids(near, far.endpoint, addresses.near, addresses.far);
  if (!pair) return tl::unexpected(std::move(pair).error());
  RELAY_TRY((*queue_pair)->Connect(far.endpoint, *pair));
  near.chosen = static_cast<uint8_t>(pair->far);
  near.own = static_cast<uint8_t>(pair->near);
  return std::unique_ptr<DirectRecvLane>(
      new DirectRecvLane(std::move(device), std::move(*news), std::move(*queue_pair), std::move(near), far.window));
}

HopOffer DirectRecvLane::offer() const { return {.endpoint = near_}; }

void DirectRecvLane::TakeEvents() {
  queue_pair_->TakeEvents();
  device_->TakeEvents();
}

Result<bool> DirectRecvLane::Announce(const LaneBuffer& buffer) {
  if (announced_ == whole_ + kLaneMessages || !queue_pair_->HasRoom(1)) return false;
  const uint64_t message = announced_, offset = message % kLaneMessages * kCtsEntryBytes;
  const CtsEntry entry{reinterpret_cast<uint64_t>(buffer.data), buffer.keys.remote, static_cast<uint32_t>(buffer.size)};
  const CtsBytes bytes = EncodeCts(entry, message);
  std::memcpy(news_.data() + offset, bytes.data(), bytes.size());
  // Before the news of it leaves: the sender's immediate always meets a posted receive.
  queue_pair_->Receive({}, message);
  const Piece piece{news_.data() + offset, kCtsEntryBytes, news_.local_key()};
  queue_pair_->Write({&piece, 1}, {ring_.address + offset, ring_.key}, message,
                     {.signaled = message % kEntrySignal == kEntrySignal - 1,
                      .inlined = queue_pair_->inline_bytes() >= kCtsEntryBytes});
  ++announced_;
  return true;
}

Status DirectRecvLane::Poll() {
  auto count = queue_pair_->Poll(completions_);
  if (!count) return tl::unexpected(std::move(count).error());
  next_ = 0;
  count_ = *count;
  moved_ += count_;
  return {};
}

Result<std::optional<uint64_t>> DirectRecvLane::NextWhole() {
  if (next_ == count_) RELAY_TRY(Poll());
  while (next_ != count_) {
    const Completion& completion = completions_[next_++];
    if (completion.work != Work::kReceive) continue;  // entries that have left
    if (completion.id != whole_ || !completion.immediate) {
      return Fail(ErrorCode::kRemote, "a message without its size, or out of order: the peer breaks the protocol");
    }
    ++whole_;
    return *completion.immediate;
  }
  return std::nullopt;
}

}  // namespace relay::transport::rdma
