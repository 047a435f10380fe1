#include "relay/frame.h"

#include "base/codec.h"

namespace relay {

FrameBytes EncodeFrame(const FrameHeader& h) noexcept {
  FrameBytes out;
  out[0] = std::byte{kWireVersion};
  out[1] = static_cast<std::byte>(h.type);
  PutLe<uint16_t>(&out[2], h.flags);
  PutLe<uint32_t>(&out[4], h.checksum);
  PutLe<uint64_t>(&out[8], h.message);
  PutLe<uint64_t>(&out[16], h.offset);
  PutLe<uint64_t>(&out[24], h.length);
  PutLe<uint64_t>(&out[32], h.total);
  PutLe<uint64_t>(&out[40], h.extra);
  return out;
}

namespace {

Status CheckData(const FrameHeader& h) {
  const bool within = h.total <= kMaxMessageBytes && h.offset <= h.total && h.length <= h.total - h.offset;
  const bool carries = h.length != 0 || h.total == 0;
  if ((h.flags & kChecksummed) != 0 && h.length > kMaxChecksummedBytes) {
    return Fail(ErrorCode::kRemote, "DATA frame of " + std::to_string(h.length) + " bytes with a checksum, of which " +
                                        std::to_string(kMaxChecksummedBytes) + " are the most");
  }
  if (!within || !carries || h.extra != 0) {
    return Fail(ErrorCode::kRemote, "DATA frame of " + std::to_string(h.length) + " bytes at " +
                                        std::to_string(h.offset) + " does not fit its message of " +
                                        std::to_string(h.total));
  }
  return {};
}

}  // namespace

Result<FrameHeader> DecodeFrame(std::span<const std::byte, kFrameHeaderBytes> in) {
  if (in[0] != std::byte{kWireVersion}) {
    return Fail(ErrorCode::kRemote, "frame version " + std::to_string(static_cast<int>(in[0])) + ", this is version " +
                                        std::to_string(kWireVersion) + ": run one nccl-relay version on all nodes");
  }
  auto type = static_cast<uint8_t>(in[1]);
  if (type < static_cast<uint8_t>(FrameType::kData) || type > static_cast<uint8_t>(FrameType::kPing)) {
    return Fail(ErrorCode::kRemote, "unknown frame type " + std::to_string(type));
  }
  FrameHeader h{static_cast<FrameType>(type), GetLe<uint16_t>(&in[2]),  GetLe<uint32_t>(&in[4]),
                GetLe<uint64_t>(&in[8]),      GetLe<uint64_t>(&in[16]), GetLe<uint64_t>(&in[24]),
                GetLe<uint64_t>(&in[32]),     GetLe<uint64_t>(&in[40])};
  const bool data = h.type == FrameType::kData;
  if ((h.flags & ~(data ? kChecksummed : 0)) != 0) return Fail(ErrorCode::kRemote, "unknown frame flags");
  if (data) {
    RELAY_TRY(CheckData(h));
  } else if (h.length != 0) {
    return Fail(ErrorCode::kRemote, "a frame of type " + std::to_string(type) + " carries no payload");
  }
  return h;
}

}  // namespace relay
