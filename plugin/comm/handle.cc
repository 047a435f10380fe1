#include "comm/handle.h"

#include <algorithm>
#include <cstring>

#include "base/codec.h"

namespace relay::comm {
namespace {

constexpr uint32_t kMagic = 0x684c526e;  // "nRLh"
constexpr uint16_t kHandleVersion = 1;
constexpr size_t kNameAt = 40;
constexpr size_t kNameBytes = 32;
constexpr size_t kAddressesAt = kNameAt + kNameBytes;

void PutAddresses(const std::vector<SocketAddress>& addresses, std::span<std::byte> out) {
  for (const SocketAddress& address : addresses) {
    const auto bytes = address.HostBytes();
    if (bytes.empty() || 1 + bytes.size() > out.size()) continue;
    out[0] = static_cast<std::byte>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), out.begin() + 1);
    out = out.subspan(1 + bytes.size());
  }
}

std::vector<SocketAddress> GetAddresses(std::span<const std::byte> in, uint16_t port) {
  std::vector<SocketAddress> out;
  while (!in.empty() && in[0] != std::byte{0}) {
    const auto size = std::to_integer<size_t>(in[0]);
    if (1 + size > in.size()) break;
    const SocketAddress address = SocketAddress::FromHostBytes(in.subspan(1, size));
    if (address.empty()) break;
    out.push_back(address.WithPort(port));
    in = in.subspan(1 + size);
  }
  return out;
}

}  // namespace

void EncodeHandle(const Handle& handle, std::span<std::byte, kHandleBytes> out) {
  std::fill(out.begin(), out.end(), std::byte{0});
  PutLe<uint32_t>(&out[0], kMagic);
  PutLe<uint16_t>(&out[4], kHandleVersion);
  PutLe<uint16_t>(&out[6], handle.port);
  PutLe<uint64_t>(&out[8], handle.node);
  PutLe<uint64_t>(&out[16], handle.agreement);
  std::copy(handle.token.begin(), handle.token.end(), &out[24]);
  std::memcpy(&out[kNameAt], handle.node_name.data(), std::min(handle.node_name.size(), kNameBytes));
  PutAddresses(handle.addresses, out.subspan<kAddressesAt>());
}

Result<Handle> DecodeHandle(std::span<const std::byte, kHandleBytes> in) {
  if (GetLe<uint32_t>(&in[0]) != kMagic) {
    return Fail(ErrorCode::kUsage,
                "the peer's connect handle is not nccl-relay's: set NCCL_NET_PLUGIN=relay NCCL_NET=Relay on all ranks");
  }
  if (auto version = GetLe<uint16_t>(&in[4]); version != kHandleVersion) {
    return Fail(ErrorCode::kUsage, "the peer's connect handle has version " + std::to_string(version) + ", this one " +
                                       std::to_string(kHandleVersion) + ": run one nccl-relay version on all nodes");
  }
  Handle handle;
  handle.port = GetLe<uint16_t>(&in[6]);
  handle.node = GetLe<uint64_t>(&in[8]);
  handle.agreement = GetLe<uint64_t>(&in[16]);
  std::copy_n(&in[24], handle.token.size(), handle.token.begin());
  const char* name = reinterpret_cast<const char*>(&in[kNameAt]);
  handle.node_name.assign(name, strnlen(name, kNameBytes));
  handle.addresses = GetAddresses(in.subspan<kAddressesAt>(), handle.port);
  return handle;
}

}  // namespace relay::comm
