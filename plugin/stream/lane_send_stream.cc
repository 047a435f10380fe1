#include "stream/lane_send_stream.h"

#include "stream/fit.h"

namespace relay::stream {

LaneSendStream::LaneSendStream(std::unique_ptr<circuit::Circuit> circuit, std::unique_ptr<transport::SendLane> lane,
                               StreamOptions options, Counters& counters)
    : Stream(std::move(circuit), std::move(options), counters), lane_(std::move(lane)) {
  SayReady();
}

Status LaneSendStream::DriveLane() {
  auto whole = lane_->Whole();
  if (!whole) return tl::unexpected(std::move(whole).error());
  for (; whole_ != *whole; ++whole_) {
    Finish(RequestOf(whole_), RequestOf(whole_).size);
    Add(counters().messages_sent);
  }
  while (started_ != posted()) {
    const Request& request = RequestOf(started_);
    auto capacity = lane_->CapacityOf(started_);
    if (!capacity) return tl::unexpected(std::move(capacity).error());
    if (!*capacity) break;
    RELAY_TRY(CheckFits(request.size, **capacity));
    auto room = lane_->Start({request.data, request.size, request.keys});
    if (!room) return tl::unexpected(std::move(room).error());
    if (!*room) break;
    ++started_;
    Add(counters().rdma_bytes_sent, request.size);
  }
  return lane_->Ring();
}

Status LaneSendStream::OnCircuitFrame(const FrameHeader& header) { return Misplaced(header); }

}  // namespace relay::stream
