// The runtime's calls about memory: allocation, copies, pools, legacy IPC.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "fakecuda/api.h"
#include "fakecuda/memory.h"
#include "fakecuda/stream.h"

using fakecuda::HostAlias;
using fakecuda::Memory;
using fakecuda::Report;
using fakecuda::StreamOf;

FAKECUDA_API cudaError_t cudaMalloc(void** out, size_t size) { return Report(Memory::Get().Allocate(out, size)); }

FAKECUDA_API cudaError_t cudaFree(void* pointer) {
  if (pointer) fakecuda::SynchronizeAllStreams();
  return Report(Memory::Get().Free(pointer));
}

FAKECUDA_API cudaError_t cudaHostAlloc(void** out, size_t size, unsigned) {
  return Report(Memory::Get().AllocateHost(out, size));
}

FAKECUDA_API cudaError_t cudaMallocHost(void** out, size_t size) { return cudaHostAlloc(out, size, 0); }

FAKECUDA_API cudaError_t cudaFreeHost(void* pointer) { return Report(Memory::Get().FreeHost(pointer)); }

FAKECUDA_API cudaError_t cudaHostRegister(void* pointer, size_t size, unsigned) {
  Memory::Get().RegisterHost(pointer, size);
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaHostUnregister(void* pointer) {
  Memory::Get().UnregisterHost(pointer);
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaHostGetDevicePointer(void** out, void* pointer, unsigned) {
  *out = pointer;
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* out, const void* pointer) {
  auto allocation = Memory::Get().Find(pointer);
  auto* address = const_cast<void*>(pointer);
  out->type = allocation ? allocation->type : cudaMemoryTypeUnregistered;
  out->device = allocation ? allocation->device : cudaInvalidDeviceId;
  out->devicePointer = allocation ? address : nullptr;
  out->hostPointer = allocation && allocation->type == cudaMemoryTypeHost ? address : nullptr;
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = size_t{16} << 30;
  *free = size_t{15} << 30;
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind, cudaStream_t stream) {
  if (Memory::Get().Find(from)) {
    StreamOf(stream).Push([=] { memcpy(HostAlias(to), HostAlias(from), size); });
    return cudaSuccess;
  }
  // Pageable memory is staged before the call returns, as in CUDA.
  auto* bytes = static_cast<const char*>(from);
  auto staged = std::make_shared<std::vector<char>>(bytes, bytes + size);
  StreamOf(stream).Push([=] { memcpy(HostAlias(to), staged->data(), size); });
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaMemcpy(void* to, const void* from, size_t size, cudaMemcpyKind) {
  StreamOf(nullptr).Synchronize();
  memcpy(HostAlias(to), HostAlias(from), size);
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaMemsetAsync(void* to, int value, size_t size, cudaStream_t stream) {
  StreamOf(stream).Push([=] { memset(HostAlias(to), value, size); });
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaMemset(void* to, int value, size_t size) {
  StreamOf(nullptr).Synchronize();
  memset(HostAlias(to), value, size);
  return cudaSuccess;
}

// Pools: stream-ordered allocation, without reuse.
FAKECUDA_API cudaError_t cudaMemPoolCreate(cudaMemPool_t* out, const cudaMemPoolProps*) {
  *out = reinterpret_cast<cudaMemPool_t>(new char);
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool) {
  delete reinterpret_cast<char*>(pool);
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }

FAKECUDA_API cudaError_t cudaMallocFromPoolAsync(void** out, size_t size, cudaMemPool_t, cudaStream_t) {
  return Report(Memory::Get().Allocate(out, size));
}

FAKECUDA_API cudaError_t cudaMallocAsync(void** out, size_t size, cudaStream_t) {
  return Report(Memory::Get().Allocate(out, size));
}

FAKECUDA_API cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) {
  StreamOf(stream).Push([=] { Report(Memory::Get().Free(pointer)); });
  return cudaSuccess;
}

// Legacy IPC: the handle names the memfd of the exporting process.
namespace {
struct IpcName {
  pid_t pid;
  int fd;
  size_t offset, size;
};
static_assert(sizeof(IpcName) <= sizeof(cudaIpcMemHandle_t));
}  // namespace

FAKECUDA_API cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t* out, void* pointer) {
  auto allocation = Memory::Get().Find(pointer);
  if (!allocation || allocation->fd < 0) return Report(cudaErrorInvalidValue);
  IpcName name{getpid(), allocation->fd, reinterpret_cast<uintptr_t>(pointer) - allocation->base, allocation->mapped};
  memset(out, 0, sizeof *out);
  memcpy(out, &name, sizeof name);
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaIpcOpenMemHandle(void** out, cudaIpcMemHandle_t handle, unsigned) {
  IpcName name;
  memcpy(&name, &handle, sizeof name);
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", name.pid, name.fd);
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return Report(cudaErrorInvalidValue);
  void* base;
  if (cudaError_t error = Memory::Get().Import(&base, fd, name.size)) return Report(error);
  *out = static_cast<char*>(base) + name.offset;
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaIpcCloseMemHandle(void* pointer) { return Report(Memory::Get().Free(pointer)); }
