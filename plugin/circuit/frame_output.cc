#include "circuit/frame_output.h"

#include <algorithm>
#include <cstring>

#include "base/crc32c.h"
#include "relay/setup.h"

namespace relay::circuit {
namespace {

// Room for a CTS and an ACK per possible request, PING and CLOSE; and, once, for OPENED.
constexpr size_t kFrameRoom = 80 * kFrameHeaderBytes;
constexpr size_t kControlBytes = kFrameRoom + kSetupPrefixBytes + 512;

}  // namespace

FrameOutput::FrameOutput() : control_(kControlBytes) {}

void FrameOutput::QueueSetup(std::span<const std::byte> bytes) {
  if (control_.size() < bytes.size() + kFrameRoom) control_.resize(bytes.size() + kFrameRoom);
  std::memcpy(control_.data(), bytes.data(), bytes.size());
  control_end_ = bytes.size();
}

bool FrameOutput::QueueControl(const FrameHeader& header) {
  if (control_end_ + kFrameHeaderBytes > control_.size()) {
    std::memmove(control_.data(), control_.data() + control_begin_, control_end_ - control_begin_);
    control_end_ -= control_begin_;
    control_begin_ = 0;
    if (control_end_ + kFrameHeaderBytes > control_.size()) return false;
  }
  const FrameBytes bytes = EncodeFrame(header);
  std::memcpy(control_.data() + control_end_, bytes.data(), bytes.size());
  control_end_ += bytes.size();
  return true;
}

void FrameOutput::StartData(const FrameHeader& plain, const std::byte* payload) {
  FrameHeader header = plain;
  if (adds_checksums_) {
    header.flags |= kChecksummed;
    header.checksum = Crc32c({payload, header.length});
  }
  data_header_ = EncodeFrame(header);
  data_payload_ = payload;
  data_size_ = kFrameHeaderBytes + header.length;
  data_sent_ = 0;
}

size_t FrameOutput::Gather(std::span<iovec, kMostPieces> pieces) const {
  size_t n = 0;
  auto add = [&](const std::byte* begin, size_t size) {
    if (size != 0) pieces[n++] = {const_cast<std::byte*>(begin), size};
  };
  auto add_control = [&] { add(control_.data() + control_begin_, control_end_ - control_begin_); };
  const bool begun = data_sent_ != 0;
  if (!begun) add_control();
  if (data_pending()) {
    const size_t header_left = kFrameHeaderBytes - std::min(data_sent_, kFrameHeaderBytes);
    const size_t payload_sent = data_sent_ - std::min(data_sent_, kFrameHeaderBytes);
    add(data_header_.data() + kFrameHeaderBytes - header_left, header_left);
    add(data_payload_ + payload_sent, data_size_ - kFrameHeaderBytes - payload_sent);
  }
  if (begun) add_control();
  return n;
}

size_t FrameOutput::Consume(size_t sent) {
  auto take_control = [&] {
    const size_t n = std::min(sent, control_end_ - control_begin_);
    control_begin_ += n;
    sent -= n;
    if (control_begin_ == control_end_) control_begin_ = control_end_ = 0;
  };
  if (data_sent_ == 0) take_control();
  const size_t n = std::min(sent, data_size_ - data_sent_);
  data_sent_ += n;
  sent -= n;
  if (data_sent_ == data_size_) data_sent_ = data_size_ = 0;
  take_control();
  return n;
}

}  // namespace relay::circuit
