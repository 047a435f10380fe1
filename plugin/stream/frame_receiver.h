// The receiving end of a circuit whose socket carries the messages: announces posted receives (CTS), acknowledges
// messages that are whole.
#pragma once
#include "stream/carrier.h"
#include "stream/inbox.h"

namespace relay::stream {

class FrameReceiver final : public Carrier {
 public:
  FrameReceiver(Requests& requests, Inbox& inbox)
      : requests_(requests),
        inbox_(inbox),
        cts_sent_(inbox.receipts().placed()),
        acknowledged_(inbox.receipts().placed()) {}

  bool Push(circuit::Circuit& circuit) override;
  Status OnFrame(const FrameHeader& header, bool pending) override;
  std::span<std::byte> PayloadSpace() override { return inbox_.PayloadSpace(); }
  void OnPayload(size_t bytes) override { inbox_.OnPayload(bytes); }
  Status OnFrameEnd(const FrameHeader& header) override { return inbox_.OnFrameEnd(header); }
  Status Fence() override {
    inbox_.BreakOff();
    return {};
  }

 private:
  Requests& requests_;
  Inbox& inbox_;
  uint64_t cts_sent_;  // messages below need no CTS any more
  uint64_t acknowledged_;
};

}  // namespace relay::stream
