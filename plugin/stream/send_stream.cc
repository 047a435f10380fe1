#include "stream/send_stream.h"

#include <algorithm>

#include "stream/fit.h"

namespace relay::stream {

bool SendStream::Push() {
  if (circuit()->data_pending() || sending_ == posted()) return false;
  const Request& request = RequestOf(sending_);
  if (!window_.MayStart(sending_, request.size)) return false;
  if (segment_offset_ == 0 && !window_.HasCts(sending_)) Add(counters().eager_messages);
  uint64_t length = std::min(options().segment, request.size - segment_offset_);
  bool last = segment_offset_ + length == request.size;
  circuit()->StartData({.type = FrameType::kData,
                        .flags = static_cast<uint16_t>(last ? kPartEnd : 0),
                        .message = sending_,
                        .offset = segment_offset_,
                        .length = length,
                        .total = request.size},
                       request.data + segment_offset_);
  segment_offset_ = last ? 0 : segment_offset_ + length;
  if (last) ++sending_;
  return true;
}

Status SendStream::OnCircuitFrame(const FrameHeader& header) {
  switch (header.type) {
    case FrameType::kAck:
      return OnAcknowledged(header.message);
    case FrameType::kCts:
      RELAY_TRY(OnAcknowledged(header.extra));
      RELAY_TRY(window_.OnCts(header.message, header.total));
      return header.message < posted() ? CheckFits(RequestOf(header.message)) : Status{};
    default:
      return Misplaced(header);
  }
}

// The receive that was posted for a message must take it whole.
Status SendStream::CheckFits(const Request& request) const {
  if (!window_.HasCts(request.message)) return {};
  return stream::CheckFits(request.size, window_.CapacityOf(request.message));
}

Status SendStream::OnPosted(Request& request) { return CheckFits(request); }

Status SendStream::OnAcknowledged(uint64_t whole) {
  uint64_t from = window_.acknowledged();
  // A message of which a byte is still ours to send cannot be whole over there.
  bool cutting = circuit()->data_pending() && segment_offset_ == 0;
  RELAY_TRY(window_.OnAck(whole, cutting ? sending_ - 1 : sending_));
  for (uint64_t m = from; m != whole; ++m) {
    Finish(RequestOf(m), RequestOf(m).size);
    Add(counters().messages_sent);
  }
  return {};
}

}  // namespace relay::stream
