// The receiving end of a connection: announces posted receives (CTS), places what arrives, acknowledges whole messages.
#pragma once
#include <vector>

#include "stream/stream.h"

namespace relay::stream {

class RecvStream final : public Stream {
 public:
  // `eager_bytes`: messages up to this size are taken before their receive is posted; what OPENED offered.
  RecvStream(std::unique_ptr<circuit::Circuit> circuit, StreamOptions options, Counters& counters, uint64_t eager_bytes)
      : Stream(std::move(circuit), std::move(options), counters), eager_bytes_(eager_bytes) {}

 private:
  // A message of which something came. One circuit delivers them one after the other.
  struct Arrival {
    uint64_t received = 0;
    uint64_t total = 0;
    bool begun = false;
    bool eager = false;  // its bytes go to an eager slot: its receive was not posted when it began
    bool whole = false;
  };

  Status OnPosted(Request& request) override;
  bool Push() override;
  Status OnCircuitFrame(const FrameHeader& header) override;
  Status OnCircuitFrameEnd(const FrameHeader& header) override;
  std::span<std::byte> Space() override;
  void OnSpaceFilled(size_t bytes) override;

  Status BeginMessage(const FrameHeader& header);
  void PlaceBounced();
  Status CheckFits(uint64_t message);
  Status Complete(uint64_t message);
  Arrival& ArrivalOf(uint64_t message) { return arrivals_[message % arrivals_.size()]; }
  std::byte* EagerSlot(uint64_t message);
  bool InOrder(const Request& request, uint64_t total) const;

  const uint64_t eager_bytes_;
  uint64_t cts_sent_ = 0;  // messages below need no CTS any more
  uint64_t whole_ = 0;     // messages below are placed in their receive's buffer
  uint64_t acknowledged_ = 0;
  std::array<Arrival, 64> arrivals_;  // posted receives and eager messages beyond them

  // Where the frame being received goes.
  std::byte* target_ = nullptr;
  uint64_t target_left_ = 0;
  bool bouncing_ = false;
  size_t bounced_ = 0;             // bytes in bounce_ that wait for their place
  std::vector<std::byte> bounce_;  // made when the first ordered message comes
  std::vector<std::byte> eager_;   // kEagerMessages slots, made when the first eager message comes
};

}  // namespace relay::stream
