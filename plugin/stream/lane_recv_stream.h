// The receiving end of a connection whose messages a device moves: says which receives are posted, hears which are
// whole.
#pragma once
#include "relay/lane.h"
#include "stream/stream.h"

namespace relay::stream {

class LaneRecvStream final : public Stream {
 public:
  // The lane is connected on this side; nothing is written until the sender has said that it is on the other.
  LaneRecvStream(std::unique_ptr<circuit::Circuit> circuit, std::unique_ptr<transport::RecvLane> lane,
                 StreamOptions options, Counters& counters)
      : Stream(std::move(circuit), std::move(options), counters), lane_(std::move(lane)) {}

 private:
  transport::Lane* lane() override { return lane_.get(); }
  void DropLane() override { lane_.reset(); }
  Status DriveLane() override;
  bool NeedsSocket() const override { return !heard(); }

  Status OnPosted(Request&) override { return {}; }
  bool Push() override { return false; }
  Status OnCircuitFrame(const FrameHeader& header) override;
  Status OnCircuitFrameEnd(const FrameHeader&) override { return {}; }
  std::span<std::byte> Space() override { return {}; }
  void OnSpaceFilled(size_t) override {}

  std::unique_ptr<transport::RecvLane> lane_;
  uint64_t announced_ = 0, whole_ = 0;
};

}  // namespace relay::stream
