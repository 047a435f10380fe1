// The receiving end of a circuit whose messages a device moves: says which receives are posted, hears which are whole.
// Nothing is said before the sender has told that the lane is connected on its side.
#pragma once
#include <memory>

#include "stream/carrier.h"
#include "stream/inbox.h"

namespace relay::stream {

class LaneReceiver final : public Carrier {
 public:
  LaneReceiver(Requests& requests, Inbox& inbox, std::unique_ptr<transport::RecvLane> lane)
      : requests_(requests), inbox_(inbox), lane_(std::move(lane)), announced_(inbox.receipts().held()) {}

  Status OnFrame(const FrameHeader& header, bool) override { return Misplaced(header); }
  transport::Lane* lane() override { return lane_.get(); }
  Status DriveLane() override;
  bool NeedsSocket() const override { return !heard(); }
  Status Fence() override;

 private:
  Status TakeWhole();

  Requests& requests_;
  Inbox& inbox_;
  const std::unique_ptr<transport::RecvLane> lane_;
  uint64_t announced_;
};

}  // namespace relay::stream
