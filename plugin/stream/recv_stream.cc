#include "stream/recv_stream.h"

#include <algorithm>

#include "stream/fit.h"
#include "stream/placement.h"

namespace relay::stream {
namespace {

// NCCL's LL slots are this large (NCCL_LL_BUFFSIZE / 8): a message up to it may carry flags that a GPU polls.
constexpr uint64_t kMayPollBytes = 65536;
constexpr size_t kBounceBytes = 65536;  // a multiple of 128: a line of LL128 is never cut

}  // namespace

bool RecvStream::InOrder(const Request& request, uint64_t total) const {
  return request.in_order || total <= kMayPollBytes;
}

std::byte* RecvStream::EagerSlot(uint64_t message) {
  if (eager_.empty()) eager_.resize(kEagerMessages * eager_bytes_);
  return eager_.data() + message % kEagerMessages * eager_bytes_;
}

Status RecvStream::CheckFits(uint64_t message) {
  return stream::CheckFits(ArrivalOf(message).total, RequestOf(message).size);
}

// Messages come in order and their parts without gaps: one circuit is one stream of bytes.
Status RecvStream::BeginMessage(const FrameHeader& header) {
  Arrival& arrival = ArrivalOf(header.message);
  if (header.message < posted()) {
    arrival = {.total = header.total, .begun = true};
    return CheckFits(header.message);
  }
  if (header.message >= posted() + kEagerMessages || header.total > eager_bytes_) {
    return Fail(ErrorCode::kRemote, "DATA of message " + std::to_string(header.message) + " (" +
                                        std::to_string(header.total) +
                                        " bytes) without a receive: the peer breaks the protocol");
  }
  arrival = {.total = header.total, .begun = true, .eager = true};
  return {};
}

Status RecvStream::OnCircuitFrame(const FrameHeader& header) {
  if (header.type != FrameType::kData) return Misplaced(header);
  uint64_t due = whole_;
  while (due < posted() + kEagerMessages && ArrivalOf(due).whole) ++due;
  if (header.message != due)
    return Fail(ErrorCode::kRemote, "DATA of a message that is not due: the peer breaks the protocol");
  Arrival& arrival = ArrivalOf(header.message);
  if (!arrival.begun) RELAY_TRY(BeginMessage(header));
  if (header.offset != arrival.received || header.total != arrival.total) {
    return Fail(ErrorCode::kRemote, "DATA out of its place: the peer breaks the protocol");
  }
  Request& request = RequestOf(header.message);
  bouncing_ = !arrival.eager && InOrder(request, arrival.total);
  if (bouncing_ && bounce_.empty()) bounce_.resize(kBounceBytes);
  target_ = (arrival.eager ? EagerSlot(header.message) : request.data) + arrival.received;
  target_left_ = header.length;
  return {};
}

std::span<std::byte> RecvStream::Space() {
  if (!bouncing_) return {target_, target_left_};
  return std::span(bounce_).subspan(bounced_, std::min<uint64_t>(kBounceBytes - bounced_, target_left_));
}

void RecvStream::OnSpaceFilled(size_t bytes) {
  target_left_ -= bytes;
  if (!bouncing_) {
    target_ += bytes;
    return;
  }
  bounced_ += bytes;
  if (bounced_ == kBounceBytes || target_left_ == 0) PlaceBounced();
}

void RecvStream::PlaceBounced() {
  PlaceInOrder(target_, bounce_.data(), bounced_);
  Add(counters().placed_bytes, bounced_);
  target_ += bounced_;
  bounced_ = 0;
}

Status RecvStream::OnCircuitFrameEnd(const FrameHeader& header) {
  Arrival& arrival = ArrivalOf(header.message);
  arrival.received += header.length;
  if ((header.flags & kPartEnd) == 0) return {};
  if (arrival.received != arrival.total) {
    return Fail(ErrorCode::kRemote, "the end of a part that is not whole: the peer breaks the protocol");
  }
  arrival.whole = true;
  return header.message < posted() ? Complete(header.message) : Status{};
}

// The message is whole and its receive is posted.
Status RecvStream::Complete(uint64_t message) {
  Arrival& arrival = ArrivalOf(message);
  Request& request = RequestOf(message);
  if (arrival.eager) {
    RELAY_TRY(CheckFits(message));
    PlaceInOrder(request.data, EagerSlot(message), arrival.total);
    Add(counters().placed_bytes, arrival.total);
  }
  Finish(request, arrival.total);
  Add(counters().messages_received);
  arrival = {};
  ++whole_;
  return {};
}

Status RecvStream::OnPosted(Request& request) {
  return ArrivalOf(request.message).whole ? Complete(request.message) : Status{};
}

// CTS for what is posted, in order, each with the acknowledgement; then the acknowledgement alone if it is news.
bool RecvStream::Push() {
  cts_sent_ = std::max(cts_sent_, whole_);
  for (; cts_sent_ < posted(); ++cts_sent_) {
    const Arrival& arrival = ArrivalOf(cts_sent_);
    // Its slot is promised to a later message only once it is empty; the acknowledgement says that.
    if (arrival.begun && arrival.eager) break;
    if (!circuit()->QueueControl(
            {.type = FrameType::kCts, .message = cts_sent_, .total = RequestOf(cts_sent_).size, .extra = whole_})) {
      return false;
    }
    acknowledged_ = whole_;
  }
  if (acknowledged_ != whole_ && circuit()->QueueControl({.type = FrameType::kAck, .message = whole_})) {
    acknowledged_ = whole_;
  }
  return false;
}

}  // namespace relay::stream
