// The sending end of a connection. It alone asks for circuits: the receiving end takes what comes.
#pragma once
#include "stream/send_ledger.h"
#include "stream/stream.h"

namespace relay::stream {

// An open circuit, as this end takes it.
struct SendCircuit {
  std::unique_ptr<circuit::Circuit> circuit;
  std::unique_ptr<transport::SendLane> lane{};  // null: the socket carries the messages
  uint64_t eager_bytes = 0;                     // what the receiver's offer allows, see circuit::Offer
  std::string near_link{};
  OnTaken on_taken{};
};

class SendStream final : public Stream {
 public:
  using Stream::Stream;

  // In place of the last circuit, with a later epoch.
  void Adopt(SendCircuit opened);

 private:
  Status OnPosted(Request& request) override { return present() ? present().carrier().OnPosted(request) : Status{}; }
  Status OnResume(const FrameHeader& header) override;
  bool OwesAnswer() const override { return false; }
  uint64_t Reached() const override { return ledger_.done() * kMaxMessageBytes + resumed_at_; }

  SendLedger ledger_;
  uint64_t resumed_at_ = 0;  // the offset of the last RESUME
};

}  // namespace relay::stream
