// What travels between the nodes of a relayed lane: 64 bytes of header, and the payload of a DATA packet behind them.
// Little-endian.
//
//   0         1      2      4     8         16       24       28      32        40      48     64
//   +---------+------+------+-----+---------+--------+--------+-------+---------+-------+------+
//   | version | type | zero | key | message | offset | length | total | address | whole | zero |
//   +---------+------+------+-----+---------+--------+--------+-------+---------+-------+------+
//
//   type   from       message      offset, length   total             address, key              whole
//   DATA   sender     its number   of this segment  message bytes     of the receive's buffer   0
//   CTS    receiver   its number   0                bytes it takes    of its buffer             messages whole
//   ACK    receiver   0            0                0                 0                         messages whole
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "relay/result.h"

namespace relay::transport::rdma {

inline constexpr size_t kPacketBytes = 64;

enum class PacketType : uint8_t { kData = 1, kCts = 2, kAck = 3 };

struct Packet {
  PacketType type = PacketType::kAck;
  uint32_t key = 0;
  uint64_t message = 0, offset = 0;
  uint32_t length = 0, total = 0;
  uint64_t address = 0, whole = 0;

  // DATA whose message ends with it.
  bool last() const { return offset + length == total; }
};

// Credit comes back as the immediate of an empty RDMA write: the top bit, and how many packets the side that sends it
// has given back since the beginning, modulo 2^31. Any other immediate is the size of a message.
inline constexpr uint32_t kCreditFlag = 1u << 31;
inline constexpr uint32_t EncodeCredit(uint64_t given_back) {
  return kCreditFlag | (static_cast<uint32_t>(given_back) & ~kCreditFlag);
}
inline constexpr bool IsCredit(uint32_t immediate) { return (immediate & kCreditFlag) != 0; }

using PacketHeader = std::array<std::byte, kPacketBytes>;
PacketHeader EncodePacket(const Packet& packet);
// Refuses other versions, unknown types, and lengths that do not fit their message.
Result<Packet> DecodePacket(std::span<const std::byte, kPacketBytes> in);

}  // namespace relay::transport::rdma
