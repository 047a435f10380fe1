// The sending end of a connection: messages leave in isend order, cut into segments, each done when acknowledged.
#pragma once
#include "stream/stream.h"

namespace relay::stream {

class SendStream final : public Stream {
 public:
  // `eager_bytes`: what the receiver's offer allows, see EndpointOffer.
  SendStream(std::unique_ptr<circuit::Circuit> circuit, StreamOptions options, Counters& counters, uint64_t eager_bytes)
      : Stream(std::move(circuit), std::move(options), counters), window_(eager_bytes) {}

 private:
  Status OnPosted(Request& request) override;
  bool Push() override;
  Status OnCircuitFrame(const FrameHeader& header) override;
  Status OnCircuitFrameEnd(const FrameHeader&) override { return {}; }
  std::span<std::byte> Space() override { return {}; }  // no payload comes this way
  void OnSpaceFilled(size_t) override {}
  Status OnAcknowledged(uint64_t whole);
  Status CheckFits(const Request& request) const;

  SendWindow window_;
  uint64_t sending_ = 0;  // the message being cut; those below are with the kernel or in the circuit
  uint64_t segment_offset_ = 0;
};

}  // namespace relay::stream
