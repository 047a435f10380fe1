// NVML, which NCCL opens as libnvidia-ml.so.1, a link to this library. Only what NCCL cannot do without; it tolerates
// the rest being absent.
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "fakecuda/api.h"
#include "fakecuda/config.h"

using fakecuda::GetConfig;

namespace {

enum NvmlResult : int { kSuccess = 0, kInvalidArgument = 2, kNotSupported = 3 };
enum NvmlP2pStatus : int { kP2pOk = 0, kP2pNotSupported = 5 };

// What NCCL 2.30 asks NVML where /sys does not know the GPU: an H100 on a PCIe 5.0 slot of 16 lanes.
constexpr unsigned kPciDeviceId = 0x233010de, kPciSubsystemId = 0x16c110de;
constexpr unsigned kPciBaseClass = 3, kPciSubClass = 2;
constexpr unsigned kPcieGeneration = 5, kPcieLanes = 16, kPcieMegabitsPerLane = 32000;

struct PciInfo {
  char bus_id[16];
  unsigned domain, bus, device, pci_device_id, pci_subsystem_id, reserved[4];
};
static_assert(sizeof(PciInfo) == 52);

struct PciInfoExt {
  unsigned version, domain, bus, device, pci_device_id, pci_subsystem_id, base_class, sub_class;
  char bus_id[16];
};
static_assert(sizeof(PciInfoExt) == 48);

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

FAKECUDA_API int nvmlDeviceGetPciInfo_v3(void* handle, PciInfo* out) {
  const auto index = static_cast<int>(IndexOf(handle));
  *out = {.bus_id = {},
          .domain = 0,
          .bus = static_cast<unsigned>(GetConfig().first_bus + index),
          .device = 0,
          .pci_device_id = kPciDeviceId,
          .pci_subsystem_id = kPciSubsystemId,
          .reserved = {}};
  cudaDeviceGetPCIBusId(out->bus_id, sizeof out->bus_id, index);
  return kSuccess;
}

FAKECUDA_API int nvmlDeviceGetPciInfoExt(void* handle, PciInfoExt* out) {
  PciInfo info;
  nvmlDeviceGetPciInfo_v3(handle, &info);
  *out = {.version = out->version,
          .domain = info.domain,
          .bus = info.bus,
          .device = info.device,
          .pci_device_id = info.pci_device_id,
          .pci_subsystem_id = info.pci_subsystem_id,
          .base_class = kPciBaseClass,
          .sub_class = kPciSubClass,
          .bus_id = {}};
  memcpy(out->bus_id, info.bus_id, sizeof out->bus_id);
  return kSuccess;
}

FAKECUDA_API int nvmlDeviceGetPcieLinkMaxSpeed(void*, unsigned* megabits) {
  *megabits = kPcieMegabitsPerLane;
  return kSuccess;
}

FAKECUDA_API int nvmlDeviceGetCurrPcieLinkGeneration(void*, unsigned* generation) {
  *generation = kPcieGeneration;
  return kSuccess;
}

FAKECUDA_API int nvmlDeviceGetCurrPcieLinkWidth(void*, unsigned* lanes) {
  *lanes = kPcieLanes;
  return kSuccess;
}
