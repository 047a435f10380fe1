#include "stream/frame_receiver.h"

#include <algorithm>

namespace relay::stream {

Status FrameReceiver::OnFrame(const FrameHeader& header, bool) {
  return header.type == FrameType::kData ? inbox_.OnFrame(header) : Misplaced(header);
}

// CTS for what is posted, in order, each with the acknowledgement; then the acknowledgement alone if it is news.
bool FrameReceiver::Push(circuit::Circuit& circuit) {
  const uint64_t placed = inbox_.receipts().placed();
  cts_sent_ = std::max(cts_sent_, placed);
  for (; cts_sent_ < requests_.posted(); ++cts_sent_) {
    // Its slot is promised to a later message only once it is empty; the acknowledgement says that.
    if (inbox_.receipts().IsEager(cts_sent_)) break;
    if (!circuit.QueueControl(
            {.type = FrameType::kCts, .message = cts_sent_, .total = requests_.Of(cts_sent_).size, .extra = placed})) {
      return false;
    }
    acknowledged_ = placed;
  }
  if (acknowledged_ != placed && circuit.QueueControl({.type = FrameType::kAck, .message = placed})) {
    acknowledged_ = placed;
  }
  return false;
}

}  // namespace relay::stream
