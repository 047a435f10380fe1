// The receiving end of a circuit whose messages a device moves: says which receives are posted, hears which are whole.
// Nothing is said before the sender has told that the lane is connected on its side.
#pragma once
#include "stream/inbox.h"
#include "stream/lane_carrier.h"

namespace relay::stream {

class LaneReceiver final : public LaneCarrier<transport::RecvLane> {
 public:
  LaneReceiver(Requests& requests, Inbox& inbox, std::unique_ptr<transport::RecvLane> lane)
      : LaneCarrier(std::move(lane)), requests_(requests), inbox_(inbox), announced_(inbox.receipts().held()) {}

  Status DriveLane() override;
  Status Fence() override;

 private:
  bool NeedsSocket() const override { return !heard(); }
  Status TakeWhole();

  Requests& requests_;
  Inbox& inbox_;
  uint64_t announced_;
};

}  // namespace relay::stream
