// What an open circuit has to send: control frames that wait, and one DATA frame whose payload stays the caller's.
// Control frames never split a DATA frame. No I/O; nothing here allocates after construction.
#pragma once
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "relay/frame.h"

namespace relay::circuit {

class FrameOutput {
 public:
  FrameOutput();

  // As Circuit has them.
  void QueueSetup(std::span<const std::byte> bytes);
  bool QueueControl(const FrameHeader& header);
  void StartData(const FrameHeader& header, const std::byte* payload);
  void AddChecksums() { adds_checksums_ = true; }
  bool data_pending() const { return data_size_ != 0; }
  bool empty() const { return !data_pending() && control_begin_ == control_end_; }

  static constexpr size_t kMostPieces = 4;
  // What is left to send, a frame begun first. How many pieces.
  size_t Gather(std::span<iovec, kMostPieces> pieces) const;
  // So much of it was sent. How much of that was of DATA.
  size_t Consume(size_t sent);

 private:
  // Control frames, encoded, [begin, end).
  std::vector<std::byte> control_;
  size_t control_begin_ = 0, control_end_ = 0;
  FrameBytes data_header_{};
  const std::byte* data_payload_ = nullptr;
  size_t data_size_ = 0, data_sent_ = 0;  // header and payload; size 0: no frame in progress
  bool adds_checksums_ = false;
};

}  // namespace relay::circuit
