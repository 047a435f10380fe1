// A hop behind a network that flips bits where nobody looks: in the payload of DATA frames, which neither TCP's sum nor
// a decoder would have to find.
#pragma once
#include <algorithm>
#include <array>
#include <memory>
#include <span>

#include "base/codec.h"
#include "relay/frame.h"
#include "relay/transport.h"

namespace relay::fake {

// What flips on a whole connection: circuits come and go.
struct Flips {
  uint64_t every = 0;  // bytes of payload: of each so many the last has one bit wrong; 0: none has
  uint64_t seen = 0;   // bytes of payload
  uint64_t done = 0;
};

// What comes in begins with a frame: the receiver's end of a circuit.
class FlippingHop final : public transport::Hop {
 public:
  // `flips` outlives it.
  FlippingHop(std::unique_ptr<transport::Hop> hop, Flips& flips) : hop_(std::move(hop)), flips_(flips) {}

  Result<size_t> Send(std::span<const iovec> pieces) override { return hop_->Send(pieces); }
  Result<size_t> Receive(std::span<const iovec> pieces) override {
    auto received = hop_->Receive(pieces);
    size_t left = received ? *received : 0;
    for (const iovec& piece : pieces) {
      const size_t here = std::min(left, piece.iov_len);
      Pass({static_cast<std::byte*>(piece.iov_base), here});
      left -= here;
    }
    return received;
  }
  bool closed() const override { return hop_->closed(); }
  void ShutdownSend() override { hop_->ShutdownSend(); }
  int fd() const override { return hop_->fd(); }

 private:
  void Pass(std::span<std::byte> bytes) {
    while (!bytes.empty()) {
      const size_t n = payload_left_ != 0 ? Payload(bytes) : Header(bytes);
      bytes = bytes.subspan(n);
    }
  }
  size_t Header(std::span<const std::byte> bytes) {
    const size_t n = std::min(bytes.size(), header_.size() - header_bytes_);
    std::copy_n(bytes.begin(), n, header_.begin() + static_cast<std::ptrdiff_t>(header_bytes_));
    header_bytes_ += n;
    if (header_bytes_ != header_.size()) return n;
    header_bytes_ = 0;
    const auto header = DecodeFrame(header_);
    if (header && header->type == FrameType::kData) payload_left_ = header->length;
    return n;
  }
  size_t Payload(std::span<std::byte> bytes) {
    const auto n = static_cast<size_t>(std::min<uint64_t>(bytes.size(), payload_left_));
    for (std::byte& byte : bytes.first(n)) {
      if (flips_.every == 0 || ++flips_.seen % flips_.every != 0) continue;
      byte ^= static_cast<std::byte>(1u << flips_.done++ % 8);
    }
    payload_left_ -= n;
    return n;
  }

  const std::unique_ptr<transport::Hop> hop_;
  Flips& flips_;
  FrameBytes header_{};
  size_t header_bytes_ = 0;
  uint64_t payload_left_ = 0;
};

}  // namespace relay::fake
