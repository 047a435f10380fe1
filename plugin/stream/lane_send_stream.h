// The sending end of a connection whose messages a device moves: each starts when its receive is posted and is done
// when the device says that it is whole over there.
#pragma once
#include "stream/lane_stream.h"

namespace relay::stream {

class LaneSendStream final : public LaneStream<transport::SendLane> {
 public:
  // The receiver hears that the lane is connected on this side too, and may write into it from then on.
  LaneSendStream(std::unique_ptr<circuit::Circuit> circuit, std::unique_ptr<transport::SendLane> lane,
                 StreamOptions options, Counters& counters);

 private:
  Status DriveLane() override;
  bool NeedsSocket() const override { return false; }

  uint64_t started_ = 0, whole_ = 0;
};

}  // namespace relay::stream
