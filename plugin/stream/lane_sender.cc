#include "stream/lane_sender.h"

namespace relay::stream {

Status LaneSender::DriveLane() {
  if (!ledger_.ready()) return {};
  if (!std::exchange(begun_, true)) first_ = started_ = whole_ = ledger_.sending();
  auto whole = lane().Whole();
  RELAY_TRY(whole);
  for (; whole_ != first_ + *whole; ++whole_) {
    requests_.Finish(requests_.Of(whole_), requests_.Of(whole_).size);
    Add(counters_.messages_sent);
  }
  while (started_ != requests_.posted()) {
    const Request& request = requests_.Of(started_);
    auto capacity = lane().CapacityOf(started_ - first_);
    RELAY_TRY(capacity);
    if (!*capacity) break;
    RELAY_TRY(CheckFits(request.size, **capacity));
    auto room = lane().Start({request.data, request.size, request.keys});
    RELAY_TRY(room);
    if (!*room) break;
    ++started_;
    Add(counters_.rdma_bytes_sent, request.size);
  }
  ledger_.OnLane(started_, whole_);
  return lane().Ring();
}

}  // namespace relay::stream
