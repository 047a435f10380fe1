#include "stream/recv_stream.h"

#include "stream/frame_receiver.h"
#include "stream/lane_receiver.h"

namespace relay::stream {

Status RecvStream::OnPosted(Request& request) {
  RELAY_TRY(inbox_.OnPosted(request));
  return present() && request.state == Request::State::kPosted ? present().carrier().OnPosted(request) : Status{};
}

void RecvStream::Fence() {
  const Turn turn(mutex());
  Drop();
}

void RecvStream::Adopt(RecvCircuit arrived) {
  const Turn turn(mutex());
  Drop();
  if (failed()) return;
  const uint32_t epoch = arrived.circuit->name().epoch;
  const bool by_device = arrived.lane != nullptr;
  // Right behind OPENED; there is room for it in a circuit that was never used.
  if (epoch != 0) (void)arrived.circuit->QueueControl(inbox_.receipts().Resume(epoch, by_device));
  std::unique_ptr<Carrier> carrier;
  if (by_device) {
    carrier = std::make_unique<LaneReceiver>(requests(), inbox_, std::move(arrived.lane));
  } else {
    carrier = std::make_unique<FrameReceiver>(requests(), inbox_);
  }
  Take(std::move(arrived.circuit), std::move(carrier), std::move(arrived.near_link), arrived.on_taken);
}

}  // namespace relay::stream
