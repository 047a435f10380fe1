// The runtime's calls about devices, versions and errors.
#include <strings.h>

#include <cstdio>
#include <cstring>

#include "fakecuda/api.h"
#include "fakecuda/config.h"
#include "fakecuda/log.h"

namespace fakecuda {
namespace {
thread_local cudaError_t last_error = cudaSuccess;
thread_local int current_device = 0;
}  // namespace

cudaError_t Report(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

int CurrentDevice() { return current_device; }
void SetCurrentDevice(int device) { current_device = device; }

}  // namespace fakecuda

using fakecuda::GetConfig;
using fakecuda::Report;

FAKECUDA_API cudaError_t cudaGetLastError() {
  cudaError_t error = fakecuda::last_error;
  fakecuda::last_error = cudaSuccess;
  return error;
}

FAKECUDA_API cudaError_t cudaPeekAtLastError() { return fakecuda::last_error; }

FAKECUDA_API const char* cudaGetErrorString(cudaError_t error) {
  static thread_local char text[48];
  if (error == cudaSuccess) return "no error";
  snprintf(text, sizeof text, "fakecuda error %d", static_cast<int>(error));
  return text;
}

FAKECUDA_API const char* cudaGetErrorName(cudaError_t error) { return cudaGetErrorString(error); }

FAKECUDA_API cudaError_t cudaDriverGetVersion(int* version) {
  *version = fakecuda::kCudaVersion;
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = fakecuda::kCudaVersion;
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaGetDeviceCount(int* count) {
  *count = GetConfig().devices;
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaGetDevice(int* device) {
  *device = fakecuda::CurrentDevice();
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= GetConfig().devices) return Report(cudaErrorInvalidDevice);
  fakecuda::SetCurrentDevice(device);
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaDeviceReset() { return cudaSuccess; }
FAKECUDA_API cudaError_t cudaDeviceSetLimit(cudaLimit, size_t) { return cudaSuccess; }
FAKECUDA_API cudaError_t cudaDeviceEnablePeerAccess(int, unsigned) { return cudaSuccess; }

FAKECUDA_API cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  *can = device != peer && GetConfig().p2p;
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaDeviceGetPCIBusId(char* out, int size, int device) {
  snprintf(out, static_cast<size_t>(size), "0000:%02X:00.0", GetConfig().first_bus + device);
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaDeviceGetByPCIBusId(int* device, const char* wanted) {
  for (int i = 0; i < GetConfig().devices; i++) {
    char name[32];
    cudaDeviceGetPCIBusId(name, sizeof name, i);
    if (strcasecmp(name, wanted)) continue;
    *device = i;
    return cudaSuccess;
  }
  return Report(cudaErrorInvalidDevice);
}

FAKECUDA_API cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor:
      *value = GetConfig().sm / 10;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = GetConfig().sm % 10;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = 232448;  // NCCL's kernels ask for that much: less ends its initialization
      break;
    case cudaDevAttrMaxThreadsPerBlock:
      *value = 1024;
      break;
    case cudaDevAttrWarpSize:
      *value = 32;
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = 132;
      break;
    case cudaDevAttrUnifiedAddressing:
      *value = 1;
      break;
    case cudaDevAttrGPUDirectRDMASupported:
      *value = GetConfig().gdr;
      break;
    default:
      *value = 0;
      fakecuda::Log(2, "device attribute %d: 0", static_cast<int>(attribute));
  }
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaGetDeviceProperties(cudaDeviceProp* out, int device) {
  // CUDA 12 and 13 differ in the tail of the structure. The fields set here are at the same offsets in both, and no
  // more is written than the smaller one holds.
  constexpr size_t kCommonHead = 1000;
  static_assert(sizeof(cudaDeviceProp) >= kCommonHead);
  memset(static_cast<void*>(out), 0, kCommonHead);
  snprintf(out->name, sizeof out->name, "fakecuda GPU %d", device);
  out->totalGlobalMem = size_t{16} << 30;
  out->warpSize = 32;
  out->maxThreadsPerBlock = 1024;
  out->major = GetConfig().sm / 10;
  out->minor = GetConfig().sm % 10;
  return cudaSuccess;
}
