#include "stream/lane_receiver.h"

namespace relay::stream {

Status LaneReceiver::TakeWhole() {
  while (true) {
    auto size = lane().NextWhole();
    RELAY_TRY(size);
    if (!*size) return {};
    RELAY_TRY(inbox_.OnLane(**size));
  }
}

Status LaneReceiver::DriveLane() {
  RELAY_TRY(TakeWhole());
  while (heard() && announced_ < requests_.posted()) {
    const Request& request = requests_.Of(announced_);
    auto room = lane().Announce({request.data, request.size, request.keys});
    RELAY_TRY(room);
    if (!*room) break;
    ++announced_;
  }
  return lane().Ring();
}

// What the sender's device has been told is whole, this side must know to be whole, too.
Status LaneReceiver::Fence() {
  const Status fenced = lane().Fence();
  // What it brought last may be out of order: then it does not count, and the sender's next word is about all of it.
  (void)TakeWhole();
  return fenced;
}

}  // namespace relay::stream
