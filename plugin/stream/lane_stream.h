// What both ends of a connection have in common whose messages a device moves: the socket carries neither DATA nor CTS.
#pragma once
#include <memory>
#include <string>

#include "base/log.h"
#include "relay/lane.h"
#include "stream/fit.h"
#include "stream/stream.h"

namespace relay::stream {

// `LaneOfOneEnd`: SendLane or RecvLane. The lane is connected on this side.
template <class LaneOfOneEnd>
class LaneStream : public Stream {
 public:
  LaneStream(std::unique_ptr<circuit::Circuit> circuit, std::unique_ptr<LaneOfOneEnd> lane, StreamOptions options,
             Counters& counters)
      : Stream(std::move(circuit), std::move(options), counters), lane_(std::move(lane)) {}

 protected:
  LaneOfOneEnd& the_lane() { return *lane_; }

 private:
  transport::Lane* lane() final { return lane_.get(); }
  void DropLane() final {
    if (!lane_) return;
    if (const std::string carried = lane_->Summary(); !carried.empty()) {
      RELAY_INFO("connection with %s: %s", options().peer.c_str(), carried.c_str());
    }
    lane_.reset();
  }

  Status OnPosted(Request&) final { return {}; }
  bool Push() final { return false; }
  Status OnCircuitFrame(const FrameHeader& header) final { return Misplaced(header); }
  Status OnCircuitFrameEnd(const FrameHeader&) final { return {}; }
  std::span<std::byte> Space() final { return {}; }
  void OnSpaceFilled(size_t) final {}

  std::unique_ptr<LaneOfOneEnd> lane_;
};

}  // namespace relay::stream
