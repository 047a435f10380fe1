// What a caller that passes memory with anything in it can tell about a getProperties().
#include <cstring>

#include "perf/net.h"

namespace relay::perf {
namespace {

template <class T>
bool Untouched(const T& value) {
  unsigned char bytes[sizeof value];
  std::memset(bytes, kGarbage, sizeof bytes);
  return std::memcmp(&value, bytes, sizeof bytes) == 0;
}

}  // namespace

std::string ResultText(ncclResult_t result) {
  static constexpr const char* kNames[] = {"ncclSuccess",       "ncclUnhandledCudaError", "ncclSystemError",
                                           "ncclInternalError", "ncclInvalidArgument",    "ncclInvalidUsage",
                                           "ncclRemoteError"};
  const auto index = static_cast<size_t>(result);
  return std::string(index < std::size(kNames) ? kNames[index] : "an unknown result") + " (" + std::to_string(result) +
         ")";
}

Status CheckProperties(const Properties& p, int devices, int abi) {
  constexpr size_t kMostBytes = size_t{1} << 40;
  const int most_physical = abi >= 12 ? 8 : 4;
  const struct {
    const char* field;
    bool right;
  } checks[] = {
      {"name", p.name != nullptr && !Untouched(p.name) && *p.name != 0},
      {"pciPath", !Untouched(p.pci_path)},
      {"guid", !Untouched(p.guid)},
      {"ptrSupport", (p.pointer_support & NCCL_PTR_HOST) != 0 &&
                         (p.pointer_support & ~(NCCL_PTR_HOST | NCCL_PTR_CUDA | NCCL_PTR_DMABUF)) == 0},
      {"regIsGlobal", p.reg_is_global == 0 || p.reg_is_global == 1},
      {"forceFlush", p.force_flush == 0 || p.force_flush == 1},
      {"speed", p.speed > 0},
      {"port", p.port >= 0},
      {"latency", p.latency >= 0 && p.latency < 1e6F},
      {"maxComms", p.max_comms > 0},
      {"maxRecvs", p.max_recvs > 0},
      {"netDeviceType", p.device_type == NCCL_NET_DEVICE_HOST},
      {"netDeviceVersion", p.device_version == NCCL_NET_DEVICE_INVALID_VERSION},
      {"vProps.ndevs", p.physical_devices >= 1 && p.physical_devices <= most_physical},
      {"vProps.devs", p.first_physical >= 0 && p.first_physical < devices},
      {"maxP2pBytes", p.max_p2p_bytes > 0 && p.max_p2p_bytes <= kMostBytes},
      {"maxCollBytes", p.max_collective_bytes > 0 && p.max_collective_bytes <= kMostBytes},
      {"maxMultiRequestSize", p.max_multi_request >= 1},
      {"railId", p.rail >= NCCL_NET_ID_UNDEF},
      {"planeId", p.plane >= NCCL_NET_ID_UNDEF},
  };
  for (const auto& check : checks) {
    if (!check.right) {
      return Fail(ErrorCode::kInternal, std::string("getProperties() of ncclNetPlugin_v") + std::to_string(abi) +
                                            " left " + check.field + " unwritten or out of range");
    }
  }
  return {};
}

}  // namespace relay::perf
