// What travels on a circuit once it is open: frames of one connection, both ways. Little-endian, encoded field by
// field.
//
//   0        1      2       4          8         16       24       32      40      48
//   +--------+------+-------+----------+---------+--------+--------+-------+-------+
//   | version| type | flags | checksum | message | offset | length | total | extra |
//   +--------+------+-------+----------+---------+--------+--------+-------+-------+
//
//   type    from      message           offset             length          total             extra
//   DATA    sender    its number        of this segment    payload bytes   message bytes     0
//   CTS     receiver  its number        0                  0               bytes it can take messages placed (an ACK)
//   ACK     receiver  messages placed   0                  0               0                 0
//   RESUME  receiver  first not whole   bytes of it there  0               epoch             messages placed (an ACK)
//   CLOSE   both      messages done     0                  0               0                 CloseReason
//   PING    both      0                 0                  0               0                 0 ask, 1 answer
//
// Messages of a connection are numbered from 0 in isend order. `length` bytes of payload follow a DATA header and
// nothing follows any other. The segments of a message come in order and without gaps; it is whole with the segment
// that ends at its `total`, and one without bytes is one DATA frame without payload. RESUME is the receiver's first
// frame on every circuit but a connection's first (epoch 0), and before it has come the sender sends neither DATA nor
// anything about messages.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "relay/result.h"

namespace relay {

inline constexpr uint8_t kWireVersion = 2;
inline constexpr size_t kFrameHeaderBytes = 48;
// NCCL never sends more at once (maxP2pBytes, maxCollBytes): test() reports sizes as int.
inline constexpr uint64_t kMaxMessageBytes = uint64_t{1} << 30;

enum class FrameType : uint8_t { kData = 1, kCts = 2, kAck = 3, kResume = 4, kClose = 5, kPing = 6 };
// kChecksummed, of DATA alone: `checksum` is the CRC-32C of the payload, of which there are kMaxChecksummedBytes at
// most, so that all of it fits where it is looked at before a byte reaches a place that somebody polls.
enum FrameFlags : uint16_t { kChecksummed = 1 };
inline constexpr uint64_t kMaxChecksummedBytes = 65536;
enum class CloseReason : uint64_t { kDone = 0, kAborted = 1 };

struct FrameHeader {
  FrameType type = FrameType::kPing;
  uint16_t flags = 0;
  uint32_t checksum = 0;
  uint64_t message = 0;
  uint64_t offset = 0;
  uint64_t length = 0;
  uint64_t total = 0;
  uint64_t extra = 0;
};

using FrameBytes = std::array<std::byte, kFrameHeaderBytes>;

FrameBytes EncodeFrame(const FrameHeader& header) noexcept;

// Refuses another version, an unknown type or flag, and lengths that do not fit their message.
Result<FrameHeader> DecodeFrame(std::span<const std::byte, kFrameHeaderBytes> in);

}  // namespace relay
