#include "stream/lane_send_stream.h"

namespace relay::stream {

LaneSendStream::LaneSendStream(std::unique_ptr<circuit::Circuit> circuit, std::unique_ptr<transport::SendLane> lane,
                               StreamOptions options, Counters& counters)
    : LaneStream(std::move(circuit), std::move(lane), std::move(options), counters) {
  SayReady();
}

Status LaneSendStream::DriveLane() {
  auto whole = the_lane().Whole();
  if (!whole) return tl::unexpected(std::move(whole).error());
  for (; whole_ != *whole; ++whole_) {
    Finish(RequestOf(whole_), RequestOf(whole_).size);
    Add(counters().messages_sent);
  }
  while (started_ != posted()) {
    const Request& request = RequestOf(started_);
    auto capacity = the_lane().CapacityOf(started_);
    if (!capacity) return tl::unexpected(std::move(capacity).error());
    if (!*capacity) break;
    RELAY_TRY(CheckFits(request.size, **capacity));
    auto room = the_lane().Start({request.data, request.size, request.keys});
    if (!room) return tl::unexpected(std::move(room).error());
    if (!*room) break;
    ++started_;
    Add(counters().rdma_bytes_sent, request.size);
  }
  return the_lane().Ring();
}

}  // namespace relay::stream
