// Where the bytes of arriving messages go: into the posted buffer, or first into private memory. Outlives circuits.
#pragma once
#include <span>
#include <vector>

#include "relay/counters.h"
#include "stream/receipts.h"
#include "stream/request.h"

namespace relay::stream {

class Inbox {
 public:
  // `eager_bytes`: messages up to this size are taken before their receive is posted; what OPENED offered.
  Inbox(Requests& requests, Counters& counters, uint64_t eager_bytes)
      : requests_(requests), counters_(counters), eager_bytes_(eager_bytes) {}

  Receipts& receipts() { return receipts_; }
  const Receipts& receipts() const { return receipts_; }

  Status OnPosted(Request& request);
  // DATA frames, as circuit::FrameSink has them.
  Status OnFrame(const FrameHeader& header);
  std::span<std::byte> PayloadSpace();
  void OnPayload(size_t bytes);
  Status OnFrameEnd(const FrameHeader& header);
  // The rest of the frame will not come.
  void BreakOff();
  // A lane has placed the oldest message that was not held.
  Status OnLane(uint64_t size);

 private:
  enum class Way : uint8_t { kStraight, kBounce, kDrop };

  bool InOrder(const Request& request, uint64_t total) const;
  void PlaceBounced();
  Status CheckFits(uint64_t message);
  Status Complete(uint64_t message);
  std::byte* EagerSlot(uint64_t message);

  Requests& requests_;
  Counters& counters_;
  const uint64_t eager_bytes_;
  Receipts receipts_;

  // Where the frame being received goes.
  Way way_ = Way::kStraight;
  std::byte* target_ = nullptr;
  uint64_t target_left_ = 0;
  size_t bounced_ = 0;             // bytes in bounce_ that wait for their place
  std::vector<std::byte> bounce_;  // made when the first ordered message, or the first duplicate, comes
  std::vector<std::byte> eager_;   // kEagerMessages slots, made when the first eager message comes
};

}  // namespace relay::stream
