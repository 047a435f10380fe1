#include "circuit/frame_input.h"

#include <algorithm>
#include <cstring>

#include "base/crc32c.h"

namespace relay::circuit {
namespace {

// A small message with its header in one call, and little to copy ahead of a large one.
constexpr size_t kAheadBytes = 16384;

}  // namespace

FrameInput::FrameInput() : ahead_(kAheadBytes) {}

Status FrameInput::TakeHeader() {
  const auto header =
      DecodeFrame(std::span<const std::byte, kFrameHeaderBytes>(ahead_.data() + begin_, kFrameHeaderBytes));
  RELAY_TRY(header);
  begin_ += kFrameHeaderBytes;
  frame_ = *header;
  missing_ = frame_.length;
  sum_ = 0;
  return {};
}

std::span<std::byte> FrameInput::RoomForHeader() {
  std::memmove(ahead_.data(), ahead_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  return std::span(ahead_).subspan(end_);
}

size_t FrameInput::TakeAhead(std::span<std::byte> to) {
  const size_t n = std::min(to.size(), end_ - begin_);
  if (n != 0) std::memcpy(to.data(), ahead_.data() + begin_, n);
  begin_ += n;
  return n;
}

std::span<std::byte> FrameInput::RoomBehindPayload() {
  begin_ = end_ = 0;
  return ahead_;
}

void FrameInput::OnPayload(std::span<const std::byte> bytes) {
  missing_ -= bytes.size();
  if ((frame_.flags & kChecksummed) != 0) sum_ = Crc32c(bytes, sum_);
}

}  // namespace relay::circuit
