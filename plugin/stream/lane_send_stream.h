// The sending end of a connection whose messages a device moves: each starts when its receive is posted and is done
// when the device says that it is whole over there.
#pragma once
#include "relay/lane.h"
#include "stream/stream.h"

namespace relay::stream {

class LaneSendStream final : public Stream {
 public:
  // The lane is connected. The receiver hears so, and may write into it from then on.
  LaneSendStream(std::unique_ptr<circuit::Circuit> circuit, std::unique_ptr<transport::SendLane> lane,
                 StreamOptions options, Counters& counters);

 private:
  transport::Lane* lane() override { return lane_.get(); }
  void DropLane() override { lane_.reset(); }
  Status DriveLane() override;
  bool NeedsSocket() const override { return false; }

  Status OnPosted(Request&) override { return {}; }
  bool Push() override { return false; }
  Status OnCircuitFrame(const FrameHeader& header) override;
  Status OnCircuitFrameEnd(const FrameHeader&) override { return {}; }
  std::span<std::byte> Space() override { return {}; }
  void OnSpaceFilled(size_t) override {}

  std::unique_ptr<transport::SendLane> lane_;
  uint64_t started_ = 0, whole_ = 0;
};

}  // namespace relay::stream
