#include "stream/inbox.h"

#include <algorithm>

#include "stream/fit.h"
#include "stream/placement.h"

namespace relay::stream {
namespace {

// NCCL's LL slots are this large (NCCL_LL_BUFFSIZE / 8): a message up to it may carry flags that a GPU polls.
constexpr uint64_t kMayPollBytes = 65536;
constexpr size_t kBounceBytes = 65536;  // a multiple of 128: a line of LL128 is never cut
// A frame with a checksum is placed from there as a whole, once the circuit has verified the last of it.
static_assert(kBounceBytes >= kMaxChecksummedBytes);

}  // namespace

bool Inbox::InOrder(const Request& request, uint64_t total) const { return request.in_order || total <= kMayPollBytes; }

std::byte* Inbox::EagerSlot(uint64_t message) {
  if (eager_.empty()) eager_.resize(kEagerMessages * eager_bytes_);
  return eager_.data() + message % kEagerMessages * eager_bytes_;
}

Status Inbox::CheckFits(uint64_t message) {
  return stream::CheckFits(receipts_.TotalOf(message), requests_.Of(message).size);
}

Status Inbox::OnFrame(const FrameHeader& header) {
  const bool begins = header.message == receipts_.held() && receipts_.received() == 0;
  auto verdict = receipts_.OnFrame(header, requests_.posted(), eager_bytes_);
  RELAY_TRY(verdict);
  target_left_ = header.length;
  if (*verdict == Receipts::Verdict::kDuplicate) {
    Add(counters_.duplicates_dropped);
    way_ = Way::kDrop;
  } else {
    const bool eager = receipts_.IsEager(header.message);
    if (begins && !eager) RELAY_TRY(CheckFits(header.message));
    Request& request = requests_.Of(header.message);
    way_ = !eager && InOrder(request, header.total) ? Way::kBounce : Way::kStraight;
    target_ = (eager ? EagerSlot(header.message) : request.data) + header.offset;
  }
  if (way_ != Way::kStraight && bounce_.empty()) bounce_.resize(kBounceBytes);
  return {};
}

std::span<std::byte> Inbox::PayloadSpace() {
  if (way_ == Way::kStraight) return {target_, target_left_};
  return std::span(bounce_).subspan(bounced_, std::min<uint64_t>(kBounceBytes - bounced_, target_left_));
}

void Inbox::OnPayload(size_t bytes) {
  target_left_ -= bytes;
  if (way_ == Way::kDrop) return;
  if (way_ == Way::kStraight) {
    target_ += bytes;
    return;
  }
  bounced_ += bytes;
  if (bounced_ == kBounceBytes || target_left_ == 0) PlaceBounced();
}

void Inbox::PlaceBounced() {
  PlaceInOrder(target_, bounce_.data(), bounced_);
  Add(counters_.placed_bytes, bounced_);
  target_ += bounced_;
  bounced_ = 0;
}

Status Inbox::OnFrameEnd(const FrameHeader& header) {
  if (way_ == Way::kDrop) return {};
  const bool whole = receipts_.OnFrameEnd(header);
  return whole && header.message < requests_.posted() ? Complete(header.message) : Status{};
}

void Inbox::BreakOff() {
  bounced_ = 0;
  target_left_ = 0;
}

// The message is whole and its receive is posted.
Status Inbox::Complete(uint64_t message) {
  Request& request = requests_.Of(message);
  const uint64_t total = receipts_.TotalOf(message);
  if (receipts_.IsEager(message)) {
    RELAY_TRY(CheckFits(message));
    PlaceInOrder(request.data, EagerSlot(message), total);
    Add(counters_.placed_bytes, total);
  }
  receipts_.OnPlaced();
  requests_.Finish(request, total);
  Add(counters_.messages_received);
  return {};
}

Status Inbox::OnPosted(Request& request) {
  return request.message < receipts_.held() ? Complete(request.message) : Status{};
}

Status Inbox::OnLane(uint64_t size) {
  Request& request = requests_.Of(receipts_.held());
  RELAY_TRY(stream::CheckFits(size, request.size));
  receipts_.OnLane();
  requests_.Finish(request, size);
  Add(counters_.messages_received);
  Add(counters_.rdma_bytes_received, size);
  return {};
}

}  // namespace relay::stream
