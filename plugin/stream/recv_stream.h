// The receiving end of a connection.
#pragma once
#include "stream/inbox.h"
#include "stream/stream.h"

namespace relay::stream {

// An open circuit, as this end takes it. OPENED is queued on it.
struct RecvCircuit {
  std::unique_ptr<circuit::Circuit> circuit;
  std::unique_ptr<transport::RecvLane> lane{};  // null: the socket carries the messages
  std::string near_link{};
  OnTaken on_taken{};
};

class RecvStream final : public Stream {
 public:
  // `eager_bytes`: messages up to this size are taken before their receive is posted; what OPENED offers.
  RecvStream(StreamOptions options, Counters& counters, uint64_t eager_bytes)
      : Stream(std::move(options), counters), inbox_(requests(), counters, eager_bytes) {}

  // Ends the present circuit: not a byte is placed for it any more, and what it has brought counts. Before the answer
  // to the OPEN of the next.
  void Fence();
  // In place of the last circuit, with a later epoch.
  void Adopt(RecvCircuit arrived);

 private:
  Status OnPosted(Request& request) override;
  Status OnResume(const FrameHeader& header) override { return Misplaced(header); }
  bool OwesAnswer() const override { return true; }
  uint64_t Reached() const override {
    const Receipts& receipts = inbox_.receipts();
    return receipts.held() * kMaxMessageBytes + receipts.received();
  }

  Inbox inbox_;
};

}  // namespace relay::stream
