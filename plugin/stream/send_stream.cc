#include "stream/send_stream.h"

#include "stream/frame_sender.h"
#include "stream/lane_sender.h"

namespace relay::stream {

void SendStream::Adopt(SendCircuit opened) {
  const Turn turn(mutex());
  Drop();
  if (failed()) return;
  ledger_.Begin(opened.eager_bytes, /*resumes=*/opened.circuit->name().epoch != 0);
  std::unique_ptr<Carrier> carrier;
  if (opened.lane) {
    carrier = std::make_unique<LaneSender>(requests(), ledger_, counters(), std::move(opened.lane));
  } else {
    carrier = std::make_unique<FrameSender>(requests(), ledger_, counters(), options().segment);
  }
  const bool by_device = carrier->by_device();
  Take(std::move(opened.circuit), std::move(carrier), std::move(opened.near_link), opened.on_taken);
  // The receiver hears that the lane is connected on this side too, and may write into it from then on.
  if (by_device) SayReady();
}

Status SendStream::OnResume(const FrameHeader& header) {
  if (header.total != present().epoch()) return Misplaced(header);
  const bool posted = header.message < requests().posted();
  RELAY_TRY(ledger_.OnResume(header, posted ? requests().Of(header.message).size : 0));
  resumed_at_ = header.offset;
  for (uint64_t m = requests().finished(); m < ledger_.done(); ++m) {
    requests().Finish(requests().Of(m), requests().Of(m).size);
    Add(counters().messages_sent);
  }
  return {};
}

}  // namespace relay::stream
