#include "stream/recv_stream.h"

#include "stream/frame_receiver.h"
#include "stream/lane_receiver.h"

namespace relay::stream {

Status RecvStream::OnPosted(Request& request) {
  RELAY_TRY(inbox_.OnPosted(request));
  return end() != nullptr && request.state == Request::State::kPosted ? end()->OnPosted(request) : Status{};
}

void RecvStream::Fence() {
  const Turn turn(*this);
  Drop();
}

void RecvStream::Adopt(RecvCircuit arrived) {
  const Turn turn(*this);
  Drop();
  if (failed()) return;
  const uint32_t epoch = arrived.circuit->name().epoch;
  const bool by_device = arrived.lane != nullptr;
  // Right behind OPENED; there is room for it in a circuit that was never used.
  if (epoch != 0) (void)arrived.circuit->QueueControl(inbox_.receipts().Resume(epoch, by_device));
  std::unique_ptr<Carrier> end;
  if (by_device) {
    end = std::make_unique<LaneReceiver>(requests(), inbox_, std::move(arrived.lane));
  } else {
    end = std::make_unique<FrameReceiver>(requests(), inbox_);
  }
  std::string over = arrived.circuit->path();
  Take(std::move(arrived.circuit), std::move(end), {std::move(over), std::move(arrived.near_link)}, arrived.on_taken);
}

}  // namespace relay::stream
