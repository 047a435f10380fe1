#include "comm/handle.h"

#include <algorithm>
#include <cstring>

#include "base/codec.h"

namespace relay::comm {
namespace {

constexpr uint32_t kMagic = 0x684c526e;  // "nRLh"
constexpr uint16_t kVersion = 1;
constexpr size_t kNameAt = 40;
static_assert(kNameAt + kMaxNameBytes <= kHandleBytes);

}  // namespace

void EncodeHandle(const Handle& handle, std::span<std::byte, kHandleBytes> out) {
  std::fill(out.begin(), out.end(), std::byte{0});
  PutLe<uint32_t>(&out[0], kMagic);
  PutLe<uint16_t>(&out[4], kVersion);
  PutLe<uint16_t>(&out[6], handle.port);
  PutLe<uint64_t>(&out[8], handle.node);
  PutLe<uint64_t>(&out[16], handle.agreement);
  std::copy(handle.token.begin(), handle.token.end(), &out[24]);
  std::memcpy(&out[kNameAt], handle.node_name.data(), std::min(handle.node_name.size(), kMaxNameBytes));
}

Result<Handle> DecodeHandle(std::span<const std::byte, kHandleBytes> in) {
  if (GetLe<uint32_t>(&in[0]) != kMagic) {
    return Fail(ErrorCode::kUsage,
                "the peer's connect handle is not nccl-relay's: set NCCL_NET_PLUGIN=relay NCCL_NET=Relay on all ranks");
  }
  if (auto version = GetLe<uint16_t>(&in[4]); version != kVersion) {
    return Fail(ErrorCode::kUsage, "the peer's connect handle has version " + std::to_string(version) + ", this one " +
                                       std::to_string(kVersion) + ": run one nccl-relay version on all nodes");
  }
  Handle handle;
  handle.port = GetLe<uint16_t>(&in[6]);
  handle.node = GetLe<uint64_t>(&in[8]);
  handle.agreement = GetLe<uint64_t>(&in[16]);
  std::copy_n(&in[24], handle.token.size(), handle.token.begin());
  const char* name = reinterpret_cast<const char*>(&in[kNameAt]);
  handle.node_name.assign(name, strnlen(name, kMaxNameBytes));
  return handle;
}

}  // namespace relay::comm
