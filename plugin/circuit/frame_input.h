// The frame that an open circuit is receiving, and what was read ahead of it and behind it. No I/O; nothing here
// allocates after construction.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "relay/frame.h"
#include "relay/result.h"

namespace relay::circuit {

class FrameInput {
 public:
  FrameInput();

  // A header is there whole.
  bool has_header() const { return end_ - begin_ >= kFrameHeaderBytes; }
  // The next frame begins with it.
  Status TakeHeader();
  const FrameHeader& frame() const { return frame_; }
  uint64_t payload_missing() const { return missing_; }

  // Where to read ahead while a header is missing.
  std::span<std::byte> RoomForHeader();
  // Takes payload that was read ahead; how much.
  size_t TakeAhead(std::span<std::byte> to);
  // Where to read ahead behind the payload, when none of it is left to TakeAhead.
  std::span<std::byte> RoomBehindPayload();
  // So much was read into that room.
  void OnReadAhead(size_t bytes) { end_ += bytes; }

  // This much more of the payload is in its place.
  void OnPayload(std::span<const std::byte> bytes);
  // The whole payload is: it is what the header says, as far as it says.
  bool sum_is_right() const { return (frame_.flags & kChecksummed) == 0 || sum_ == frame_.checksum; }

 private:
  std::vector<std::byte> ahead_;  // [begin, end)
  size_t begin_ = 0, end_ = 0;
  FrameHeader frame_;
  uint64_t missing_ = 0;
  uint32_t sum_ = 0;
};

}  // namespace relay::circuit
