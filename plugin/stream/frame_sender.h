// The sending end of a circuit whose socket carries the messages: they leave in isend order, cut into segments, each
// done when acknowledged.
#pragma once
#include "stream/carrier.h"
#include "stream/send_ledger.h"

namespace relay::stream {

class FrameSender final : public Carrier {
 public:
  // `segment`: payload bytes per frame.
  FrameSender(Requests& requests, SendLedger& ledger, Counters& counters, uint64_t segment)
      : requests_(requests), ledger_(ledger), counters_(counters), segment_(segment) {}

  Status OnPosted(Request& request) override { return CheckFits(request); }
  bool Push(circuit::Circuit& circuit) override;
  Status OnFrame(const FrameHeader& header, bool pending) override;

 private:
  Status OnAcknowledged(uint64_t placed, bool pending);
  Status CheckFits(const Request& request) const;

  Requests& requests_;
  SendLedger& ledger_;
  Counters& counters_;
  const uint64_t segment_;
};

}  // namespace relay::stream
