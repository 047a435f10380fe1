#include "stream/lane_recv_stream.h"

namespace relay::stream {

Status LaneRecvStream::DriveLane() {
  while (true) {
    auto size = the_lane().NextWhole();
    if (!size) return tl::unexpected(std::move(size).error());
    if (!*size) break;
    Request& request = RequestOf(whole_++);
    RELAY_TRY(CheckFits(**size, request.size));
    Finish(request, **size);
    Add(counters().messages_received);
    Add(counters().rdma_bytes_received, **size);
  }
  while (heard() && announced_ != posted()) {
    const Request& request = RequestOf(announced_);
    auto room = the_lane().Announce({request.data, request.size, request.keys});
    if (!room) return tl::unexpected(std::move(room).error());
    if (!*room) break;
    ++announced_;
  }
  return the_lane().Ring();
}

}  // namespace relay::stream
