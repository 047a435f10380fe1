// The driver: contexts, pointer queries, DMA-BUF export and the table of entry points. Reached through
// cudaGetDriverEntryPointByVersion, and by plugins through dlopen("libcuda.so.1"), a link to this library.
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string_view>

#include "fakecuda/api.h"
#include "fakecuda/config.h"
#include "fakecuda/log.h"
#include "fakecuda/memory.h"

using fakecuda::GetConfig;
using fakecuda::HostAlias;
using fakecuda::Memory;

namespace {
constexpr uintptr_t kContextOfDevice0 = 0x1000;
void* Pointer(CUdeviceptr address) { return reinterpret_cast<void*>(address); }
}  // namespace

FAKECUDA_API CUresult cuInit(unsigned) { return CUDA_SUCCESS; }

FAKECUDA_API CUresult cuDriverGetVersion(int* version) {
  *version = fakecuda::kCudaVersion;
  return CUDA_SUCCESS;
}

FAKECUDA_API CUresult cuGetErrorString(CUresult error, const char** out) {
  *out = cudaGetErrorString(static_cast<cudaError_t>(error));
  return CUDA_SUCCESS;
}

FAKECUDA_API CUresult cuGetErrorName(CUresult error, const char** out) { return cuGetErrorString(error, out); }

FAKECUDA_API CUresult cuDeviceGet(CUdevice* out, int ordinal) {
  if (ordinal < 0 || ordinal >= GetConfig().devices) return CUDA_ERROR_INVALID_DEVICE;
  *out = ordinal;
  return CUDA_SUCCESS;
}

FAKECUDA_API CUresult cuDeviceGetCount(int* count) {
  *count = GetConfig().devices;
  return CUDA_SUCCESS;
}

// One per GPU of the whole job: made of what tells simulated nodes apart, and the number of the GPU.
FAKECUDA_API CUresult cuDeviceGetUuid(CUuuid* out, CUdevice device) {
  const char* node = getenv("NCCL_HOSTID");
  const uint64_t halves[2] = {std::hash<std::string_view>()(node ? node : ""), static_cast<uint64_t>(device)};
  static_assert(sizeof halves == sizeof *out);
  memcpy(out, halves, sizeof halves);
  return CUDA_SUCCESS;
}

FAKECUDA_API CUresult cuDeviceGetPCIBusId(char* out, int size, CUdevice device) {
  return static_cast<CUresult>(cudaDeviceGetPCIBusId(out, size, device));
}

FAKECUDA_API CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED:
      *value = GetConfig().dmabuf;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED:
      *value = 1;
      return CUDA_SUCCESS;
    case CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID:
      *value = 0;
      return CUDA_SUCCESS;
    default:  // the two enumerations have the same values
      return static_cast<CUresult>(cudaDeviceGetAttribute(value, static_cast<cudaDeviceAttr>(attribute), device));
  }
}

FAKECUDA_API CUresult cuDevicePrimaryCtxRetain(CUcontext* out, CUdevice device) {
  *out = reinterpret_cast<CUcontext>(kContextOfDevice0 + static_cast<uintptr_t>(device));
  return CUDA_SUCCESS;
}

FAKECUDA_API CUresult cuDevicePrimaryCtxRelease(CUdevice) { return CUDA_SUCCESS; }

FAKECUDA_API CUresult cuCtxGetCurrent(CUcontext* out) {
  return cuDevicePrimaryCtxRetain(out, fakecuda::CurrentDevice());
}

FAKECUDA_API CUresult cuCtxSetCurrent(CUcontext context) {
  if (context) fakecuda::SetCurrentDevice(static_cast<int>(reinterpret_cast<uintptr_t>(context) - kContextOfDevice0));
  return CUDA_SUCCESS;
}

FAKECUDA_API CUresult cuCtxPushCurrent(CUcontext context) { return cuCtxSetCurrent(context); }

// Whoever was current before: a process of the emulation has one device.
FAKECUDA_API CUresult cuCtxPopCurrent(CUcontext* out) { return cuCtxGetCurrent(out); }

FAKECUDA_API CUresult cuCtxGetDevice(CUdevice* out) {
  *out = fakecuda::CurrentDevice();
  return CUDA_SUCCESS;
}

FAKECUDA_API CUresult cuMemAlloc(CUdeviceptr* out, size_t size) {
  void* pointer;
  if (cudaMalloc(&pointer, size) != cudaSuccess) return CUDA_ERROR_OUT_OF_MEMORY;
  *out = reinterpret_cast<CUdeviceptr>(pointer);
  return CUDA_SUCCESS;
}

FAKECUDA_API CUresult cuMemFree(CUdeviceptr address) {
  return cudaFree(Pointer(address)) == cudaSuccess ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

FAKECUDA_API CUresult cuMemcpyHtoD(CUdeviceptr to, const void* from, size_t size) {
  return static_cast<CUresult>(cudaMemcpy(Pointer(to), from, size, cudaMemcpyHostToDevice));
}

FAKECUDA_API CUresult cuMemcpyDtoH(void* to, CUdeviceptr from, size_t size) {
  return static_cast<CUresult>(cudaMemcpy(to, Pointer(from), size, cudaMemcpyDeviceToHost));
}

FAKECUDA_API CUresult cuMemGetAddressRange(CUdeviceptr* base, size_t* size, CUdeviceptr address) {
  auto allocation = Memory::Get().Find(Pointer(address));
  if (!allocation) return CUDA_ERROR_NOT_FOUND;
  if (base) *base = allocation->base;
  if (size) *size = allocation->size;
  return CUDA_SUCCESS;
}

FAKECUDA_API CUresult cuPointerGetAttribute(void* out, CUpointer_attribute attribute, CUdeviceptr address) {
  auto allocation = Memory::Get().Find(Pointer(address));
  if (!allocation) return CUDA_ERROR_INVALID_VALUE;
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      *static_cast<unsigned*>(out) =
          allocation->type == cudaMemoryTypeDevice ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      *static_cast<int*>(out) = allocation->device;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
      *static_cast<int*>(out) = allocation->fd >= 0;
      return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
      *static_cast<int*>(out) = 1;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

FAKECUDA_API CUresult cuPointerSetAttribute(const void*, CUpointer_attribute, CUdeviceptr) { return CUDA_SUCCESS; }

// A DMA-BUF here is a fresh file description of the memfd behind the allocation. A real one starts at the exported
// address, a memfd at its allocation: the position of the description (lseek(fd, 0, SEEK_CUR)) carries the difference.
FAKECUDA_API CUresult cuMemGetHandleForAddressRange(void* out, CUdeviceptr address, size_t, CUmemRangeHandleType type,
                                                    unsigned long long) {
  auto allocation = Memory::Get().Find(Pointer(address));
  if (type != CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD || !GetConfig().dmabuf) return CUDA_ERROR_NOT_SUPPORTED;
  if (!allocation || allocation->fd < 0) return CUDA_ERROR_INVALID_VALUE;
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", allocation->fd);
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return CUDA_ERROR_OPERATING_SYSTEM;
  if (lseek(fd, static_cast<off_t>(address - allocation->base), SEEK_SET) < 0) {
    close(fd);
    return CUDA_ERROR_OPERATING_SYSTEM;
  }
  *static_cast<int*>(out) = fd;
  return CUDA_SUCCESS;
}

namespace {

struct EntryPoint {
  std::string_view name;
  void* function;
};

// Everything else is "symbol not found", which NCCL accepts.
void* FindEntryPoint(std::string_view name) {
#define ENTRY(function) \
  { #function, reinterpret_cast < void*>(function) }
  static const EntryPoint kEntryPoints[] = {
      {"cuMemGetAddressRange", reinterpret_cast<void*>(cuMemGetAddressRange)},
      {"cuMemAlloc", reinterpret_cast<void*>(cuMemAlloc)},
      {"cuMemFree", reinterpret_cast<void*>(cuMemFree)},
      {"cuMemcpyHtoD", reinterpret_cast<void*>(cuMemcpyHtoD)},
      {"cuMemcpyDtoH", reinterpret_cast<void*>(cuMemcpyDtoH)},
      ENTRY(cuInit),
      ENTRY(cuDriverGetVersion),
      ENTRY(cuGetErrorString),
      ENTRY(cuGetErrorName),
      ENTRY(cuDeviceGet),
      ENTRY(cuDeviceGetCount),
      {"cuDeviceGetUuid", reinterpret_cast<void*>(cuDeviceGetUuid)},
      ENTRY(cuDeviceGetPCIBusId),
      ENTRY(cuDeviceGetAttribute),
      ENTRY(cuDevicePrimaryCtxRetain),
      ENTRY(cuDevicePrimaryCtxRelease),
      ENTRY(cuCtxGetCurrent),
      ENTRY(cuCtxSetCurrent),
      ENTRY(cuCtxGetDevice),
      ENTRY(cuPointerGetAttribute),
      ENTRY(cuPointerSetAttribute),
      ENTRY(cuMemGetHandleForAddressRange),
      ENTRY(cuLaunchKernel),
      ENTRY(cuLaunchKernelEx),
      ENTRY(cuMemGetAllocationGranularity),
      ENTRY(cuMemCreate),
      ENTRY(cuMemRelease),
      ENTRY(cuMemAddressReserve),
      ENTRY(cuMemAddressFree),
      ENTRY(cuMemMap),
      ENTRY(cuMemUnmap),
      ENTRY(cuMemSetAccess),
      ENTRY(cuMemExportToShareableHandle),
      ENTRY(cuMemImportFromShareableHandle),
      ENTRY(cuMemRetainAllocationHandle),
      ENTRY(cuMemGetAllocationPropertiesFromHandle),
  };
#undef ENTRY
  for (const EntryPoint& entry : kEntryPoints)
    if (entry.name == name) return entry.function;
  return nullptr;
}

}  // namespace

FAKECUDA_API cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** out, unsigned, unsigned long long,
                                                          cudaDriverEntryPointQueryResult* result) {
  *out = FindEntryPoint(name);
  if (result) *result = *out ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  if (!*out) fakecuda::Log(2, "driver entry point %s: not provided", name);
  return *out || result ? cudaSuccess : cudaErrorSymbolNotFound;
}

FAKECUDA_API cudaError_t cudaGetDriverEntryPoint(const char* name, void** out, unsigned long long flags,
                                                 cudaDriverEntryPointQueryResult* result) {
  return cudaGetDriverEntryPointByVersion(name, out, 0, flags, result);
}
