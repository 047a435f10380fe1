#include "transport/rdma/packet.h"

#include "base/codec.h"
#include "relay/frame.h"

namespace relay::transport::rdma {
namespace {

constexpr uint8_t kPacketVersion = 2;

bool Fits(const Packet& p) {
  if (p.total > kMaxMessageBytes) return false;
  if (p.type != PacketType::kData) return p.offset == 0 && p.length == 0;
  return p.offset <= p.total && p.length <= p.total - p.offset && (p.length != 0 || p.total == 0);
}

}  // namespace

PacketHeader EncodePacket(const Packet& p) {
  PacketHeader out{};
  out[0] = std::byte{kPacketVersion};
  out[1] = static_cast<std::byte>(p.type);
  PutLe<uint32_t>(&out[4], p.key);
  PutLe<uint64_t>(&out[8], p.message);
  PutLe<uint64_t>(&out[16], p.offset);
  PutLe<uint32_t>(&out[24], p.length);
  PutLe<uint32_t>(&out[28], p.total);
  PutLe<uint64_t>(&out[32], p.address);
  PutLe<uint64_t>(&out[40], p.whole);
  return out;
}

Result<Packet> DecodePacket(std::span<const std::byte, kPacketBytes> in) {
  const auto type = std::to_integer<uint8_t>(in[1]);
  bool known =
      std::to_integer<uint8_t>(in[0]) == kPacketVersion && type >= 1 && type <= 3 && GetLe<uint16_t>(&in[2]) == 0;
  for (size_t i = 48; i < kPacketBytes; ++i) known = known && in[i] == std::byte{0};
  Packet p;
  p.type = static_cast<PacketType>(type);
  p.key = GetLe<uint32_t>(&in[4]);
  p.message = GetLe<uint64_t>(&in[8]);
  p.offset = GetLe<uint64_t>(&in[16]);
  p.length = GetLe<uint32_t>(&in[24]);
  p.total = GetLe<uint32_t>(&in[28]);
  p.address = GetLe<uint64_t>(&in[32]);
  p.whole = GetLe<uint64_t>(&in[40]);
  if (!known || !Fits(p)) return Fail(ErrorCode::kRemote, "a neighbour sent a packet that nobody sends");
  return p;
}

}  // namespace relay::transport::rdma
