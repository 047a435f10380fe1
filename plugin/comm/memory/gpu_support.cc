#include "comm/memory/gpu_support.h"

#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "transport/rdma/device.h"

namespace relay::comm {

// The same files that NCCL's own transport looks for.
bool PeermemLoaded(const std::string& root) {
  const char* const kSigns[] = {"/sys/kernel/mm/memory_peers/nv_mem/version",
                                "/sys/kernel/mm/memory_peers/nv_mem_nc/version", "/sys/module/nvidia_peermem/version"};
  return std::any_of(std::begin(kSigns), std::end(kSigns),
                     [&](const char* sign) { return access((root + sign).c_str(), F_OK) == 0; });
}

GpuSupport FindGpuSupport(std::span<const control::VerbsDevice> devices, const std::string& root,
                          const transport::rdma::Verbs* verbs) {
  if (devices.empty()) return {};
  GpuSupport out{.peermem = PeermemLoaded(root), .dma_buf = true};
  for (const control::VerbsDevice& named : devices) {
    auto device = transport::rdma::Device::Open(named.name, static_cast<uint8_t>(named.port), verbs);
    if (!device) {
      RELAY_INFO("GPU memory is not offered to devices: %s", device.error().what.c_str());
      return {};
    }
    out.dma_buf = out.dma_buf && (*device)->supports_dma_buf();
  }
  return out;
}

}  // namespace relay::comm
