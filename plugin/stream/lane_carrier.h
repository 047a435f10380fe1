// What both ends of a circuit with a lane have in common.
#pragma once
#include <memory>
#include <utility>

#include "stream/carrier.h"

namespace relay::stream {

// `L`: transport::SendLane or transport::RecvLane, connected on this side.
template <class L>
class LaneCarrier : public Carrier {
 public:
  explicit LaneCarrier(std::unique_ptr<L> lane) : lane_(std::move(lane)) {}

  Status OnFrame(const FrameHeader& header, bool) final { return Misplaced(header); }
  bool by_device() const final { return true; }
  int lane_fd() const final { return lane_->fd(); }
  uint64_t moved() const final { return lane_->moved(); }
  std::string Summary() const final { return lane_->Summary(); }
  // What a device reports from now on wakes whoever waits for its descriptor; what it has reported so far does not.
  Result<bool> Arm() final {
    lane_->TakeEvents();
    RELAY_TRY(lane_->Arm());
    return true;
  }

 protected:
  L& lane() { return *lane_; }

 private:
  const std::unique_ptr<L> lane_;
};

}  // namespace relay::stream
