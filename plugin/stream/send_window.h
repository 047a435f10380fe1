// Which message may go on the wire: posted receives (CTS), the eager allowance, acknowledgements. Pure.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "relay/result.h"

namespace relay::stream {

// NCCL_NET_MAX_REQUESTS: requests per comm that NCCL may have in flight.
inline constexpr uint64_t kMaxRequests = 32;
// Messages a receiver can hold before their receives are posted.
inline constexpr uint64_t kEagerMessages = 8;

class SendWindow {
 public:
  // Largest message the receiver takes without a posted receive; 0: none.
  explicit SendWindow(uint64_t eager_bytes) : eager_bytes_(eager_bytes) {}

  bool MayStart(uint64_t message, uint64_t size) const { return HasCts(message) || IsEager(message, size); }
  bool HasCts(uint64_t message) const { return message < cts_; }
  // Of a message that has its CTS and is not acknowledged.
  uint64_t CapacityOf(uint64_t message) const { return capacity_[message % capacity_.size()]; }
  uint64_t acknowledged() const { return acknowledged_; }

  // A receive for `message` is posted and takes `capacity` bytes. They come in order.
  Status OnCts(uint64_t message, uint64_t capacity) {
    if (message != cts_ || message >= acknowledged_ + kMaxRequests) {
      return Fail(ErrorCode::kRemote, "CTS for message " + std::to_string(message) + " where " + std::to_string(cts_) +
                                          " was due: the peer breaks the protocol");
    }
    capacity_[message % capacity_.size()] = capacity;
    ++cts_;
    return {};
  }

  // The receiver has all messages below `whole`; `sent` are fully sent.
  Status OnAck(uint64_t whole, uint64_t sent) {
    if (whole > sent || whole < acknowledged_) {
      return Fail(ErrorCode::kRemote, "acknowledgement of message " + std::to_string(whole) + " out of " +
                                          std::to_string(sent) + " sent: the peer breaks the protocol");
    }
    acknowledged_ = whole;
    cts_ = std::max(cts_, whole);  // whole means placed, so its receive was posted
    return {};
  }

 private:
  bool IsEager(uint64_t message, uint64_t size) const {
    return size <= eager_bytes_ && eager_bytes_ != 0 && message < cts_ + kEagerMessages;
  }

  uint64_t eager_bytes_;
  uint64_t cts_ = 0;           // messages below have their CTS, or are acknowledged
  uint64_t acknowledged_ = 0;  // messages below are whole at the receiver
  std::array<uint64_t, kMaxRequests> capacity_{};
};

}  // namespace relay::stream
