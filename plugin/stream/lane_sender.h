// The sending end of a circuit whose messages a device moves: each starts when its receive is posted and is done when
// the device says that it is whole over there. The socket carries neither DATA nor CTS.
#pragma once
#include "stream/lane_carrier.h"
#include "stream/send_ledger.h"

namespace relay::stream {

class LaneSender final : public LaneCarrier<transport::SendLane> {
 public:
  LaneSender(Requests& requests, SendLedger& ledger, Counters& counters, std::unique_ptr<transport::SendLane> lane)
      : LaneCarrier(std::move(lane)), requests_(requests), ledger_(ledger), counters_(counters) {}

  Status DriveLane() override;
  bool under_way() const override { return started_ != whole_; }

 private:
  bool NeedsSocket() const override { return !ledger_.ready(); }

  Requests& requests_;
  SendLedger& ledger_;
  Counters& counters_;
  bool begun_ = false;
  uint64_t first_ = 0;                // the connection's number of the lane's message 0
  uint64_t started_ = 0, whole_ = 0;  // the connection's
};

}  // namespace relay::stream
