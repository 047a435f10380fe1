// The receiving end of a connection whose messages a device moves: says which receives are posted, hears which are
// whole. Nothing is said before the sender has told that the lane is connected on its side.
#pragma once
#include "stream/lane_stream.h"

namespace relay::stream {

class LaneRecvStream final : public LaneStream<transport::RecvLane> {
 public:
  using LaneStream::LaneStream;

 private:
  Status DriveLane() override;
  bool NeedsSocket() const override { return !heard(); }

  uint64_t announced_ = 0, whole_ = 0;
};

}  // namespace relay::stream
