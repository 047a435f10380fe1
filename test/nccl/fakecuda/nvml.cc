// NVML, which NCCL opens as libnvidia-ml.so.1, a link to this library. Only what NCCL cannot do without; it tolerates
// the rest being absent.
#include <cstdint>
#include <cstdio>

#include "fakecuda/api.h"
#include "fakecuda/config.h"

using fakecuda::GetConfig;

namespace {

enum NvmlResult : int { kSuccess = 0, kInvalidArgument = 2, kNotSupported = 3 };
enum NvmlP2pStatus : int { kP2pOk = 0, kP2pNotSupported = 5 };

void* HandleOf(unsigned index) { return reinterpret_cast<void*>(uintptr_t{index} + 1); }
unsigned IndexOf(void* handle) { return static_cast<unsigned>(reinterpret_cast<uintptr_t>(handle) - 1); }

}  // namespace

FAKECUDA_API int nvmlInit_v2() { return kSuccess; }
FAKECUDA_API int nvmlInit() { return kSuccess; }
FAKECUDA_API int nvmlShutdown() { return kSuccess; }
FAKECUDA_API const char* nvmlErrorString(int) { return "fakecuda NVML error"; }

FAKECUDA_API int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = static_cast<unsigned>(GetConfig().devices);
  return kSuccess;
}

FAKECUDA_API int nvmlDeviceGetCount(unsigned* count) { return nvmlDeviceGetCount_v2(count); }

FAKECUDA_API int nvmlDeviceGetHandleByIndex(unsigned index, void** out) {
  if (index >= static_cast<unsigned>(GetConfig().devices)) return kInvalidArgument;
  *out = HandleOf(index);
  return kSuccess;
}

FAKECUDA_API int nvmlDeviceGetHandleByPciBusId(const char* name, void** out) {
  unsigned domain, bus, slot, function;
  if (sscanf(name, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4) return kInvalidArgument;
  auto first = static_cast<unsigned>(GetConfig().first_bus);
  if (bus < first) return kInvalidArgument;
  return nvmlDeviceGetHandleByIndex(bus - first, out);
}

FAKECUDA_API int nvmlDeviceGetIndex(void* handle, unsigned* index) {
  *index = IndexOf(handle);
  return kSuccess;
}

FAKECUDA_API int nvmlDeviceGetCudaComputeCapability(void*, int* major, int* minor) {
  *major = GetConfig().sm / 10;
  *minor = GetConfig().sm % 10;
  return kSuccess;
}

FAKECUDA_API int nvmlDeviceGetP2PStatus(void*, void*, int, int* status) {
  *status = GetConfig().p2p ? kP2pOk : kP2pNotSupported;
  return kSuccess;
}

FAKECUDA_API int nvmlDeviceGetNvLinkCapability(void*, unsigned, int, unsigned*) { return kNotSupported; }
