// Which message may go on the wire: posted receives (CTS), the eager allowance, acknowledgements. Of one circuit. Pure.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "relay/result.h"
#include "stream/request.h"

namespace relay::stream {

// Messages a receiver can hold before their receives are posted.
inline constexpr uint64_t kEagerMessages = 8;

class SendWindow {
 public:
  // `eager_bytes`: largest message the receiver takes without a posted receive; 0: none. `placed`: messages below are
  // in the buffers of their receives already.
  explicit SendWindow(uint64_t eager_bytes, uint64_t placed = 0)
      : eager_bytes_(eager_bytes), cts_(placed), placed_(placed) {}

  bool MayStart(uint64_t message, uint64_t size) const { return HasCts(message) || IsEager(message, size); }
  bool HasCts(uint64_t message) const { return message < cts_; }
  // The message has its CTS and is not acknowledged.
  uint64_t CapacityOf(uint64_t message) const { return capacity_[message % capacity_.size()]; }
  uint64_t placed() const { return placed_; }

  // A receive for `message` is posted and takes `capacity` bytes. They come in order.
  Status OnCts(uint64_t message, uint64_t capacity) {
    if (message != cts_ || message >= placed_ + kMaxRequests) {
      return Fail(ErrorCode::kRemote, "CTS for message " + std::to_string(message) + " where " + std::to_string(cts_) +
                                          " was due: the peer breaks the protocol");
    }
    capacity_[message % capacity_.size()] = capacity;
    ++cts_;
    return {};
  }

  // The receiver has placed all messages below `placed`; `sent` are fully sent.
  Status OnAck(uint64_t placed, uint64_t sent) {
    if (placed > sent || placed < placed_) {
      return Fail(ErrorCode::kRemote, "acknowledgement of message " + std::to_string(placed) + " out of " +
                                          std::to_string(sent) + " sent: the peer breaks the protocol");
    }
    placed_ = placed;
    cts_ = std::max(cts_, placed);  // its receive was posted
    return {};
  }

 private:
  bool IsEager(uint64_t message, uint64_t size) const {
    return size <= eager_bytes_ && eager_bytes_ != 0 && message < cts_ + kEagerMessages;
  }

  uint64_t eager_bytes_;
  uint64_t cts_;     // messages below have their CTS, or are placed
  uint64_t placed_;  // messages below are whole and in the buffers of their receives
  std::array<uint64_t, kMaxRequests> capacity_{};
};

}  // namespace relay::stream
