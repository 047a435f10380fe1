#include "stream/frame_sender.h"

namespace relay::stream {

bool FrameSender::Push(circuit::Circuit& circuit) {
  const uint64_t message = ledger_.sending();
  if (circuit.data_pending() || message == requests_.posted()) return false;
  const Request& request = requests_.Of(message);
  const auto segment = ledger_.Next(request.size, segment_);
  if (!segment) return false;
  if (segment->offset == 0 && !ledger_.window().HasCts(message)) Add(counters_.eager_messages);
  circuit.StartData({.type = FrameType::kData,
                     .message = message,
                     .offset = segment->offset,
                     .length = segment->length,
                     .total = request.size},
                    request.data + segment->offset);
  ledger_.Started(*segment);
  return true;
}

Status FrameSender::OnFrame(const FrameHeader& header, bool pending) {
  if (!ledger_.ready()) return Misplaced(header);
  switch (header.type) {
    case FrameType::kAck:
      return OnAcknowledged(header.message, pending);
    case FrameType::kCts:
      RELAY_TRY(OnAcknowledged(header.extra, pending));
      RELAY_TRY(ledger_.window().OnCts(header.message, header.total));
      return header.message < requests_.posted() ? CheckFits(requests_.Of(header.message)) : Status{};
    default:
      return Misplaced(header);
  }
}

// The receive that was posted for a message must take it whole.
Status FrameSender::CheckFits(const Request& request) const {
  if (!ledger_.ready() || !ledger_.window().HasCts(request.message)) return {};
  return stream::CheckFits(request.size, ledger_.window().CapacityOf(request.message));
}

Status FrameSender::OnAcknowledged(uint64_t placed, bool pending) {
  RELAY_TRY(ledger_.OnAck(placed, pending));
  for (uint64_t m = requests_.finished(); m != ledger_.done(); ++m) {
    requests_.Finish(requests_.Of(m), requests_.Of(m).size);
    Add(counters_.messages_sent);
  }
  return {};
}

}  // namespace relay::stream
