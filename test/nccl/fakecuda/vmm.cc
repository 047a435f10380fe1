// The driver's virtual memory management (what NCCL calls cuMem): an allocation handle is a counted memfd, mappings put
// it into the arena.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <mutex>

#include "fakecuda/api.h"
#include "fakecuda/memory.h"

namespace fakecuda {
namespace {

struct Handle {
  int fd;
  CUmemAllocationProp properties;
  std::atomic<int> references{1};
};

Handle* HandleOf(CUmemGenericAllocationHandle handle) { return reinterpret_cast<Handle*>(handle); }

void Release(Handle* handle) {
  if (--handle->references > 0) return;
  close(handle->fd);
  delete handle;
}

struct Mappings {
  std::mutex mutex;
  std::map<uintptr_t, Handle*> by_address;
};

Mappings& TheMappings() {
  static Mappings& mappings = *new Mappings;
  return mappings;
}

}  // namespace
}  // namespace fakecuda

using fakecuda::Handle;
using fakecuda::HandleOf;
using fakecuda::Memory;
using fakecuda::TheMappings;

FAKECUDA_API CUresult cuMemGetAllocationGranularity(size_t* out, const CUmemAllocationProp*,
                                                    CUmemAllocationGranularity_flags) {
  *out = fakecuda::kPage;
  return CUDA_SUCCESS;
}

FAKECUDA_API CUresult cuMemCreate(CUmemGenericAllocationHandle* out, size_t size, const CUmemAllocationProp* properties,
                                  unsigned long long) {
  if (properties->requestedHandleTypes & CU_MEM_HANDLE_TYPE_FABRIC) return CUDA_ERROR_NOT_SUPPORTED;
  int fd = memfd_create("fakecuda-vmm", MFD_CLOEXEC);
  if (fd < 0) return CUDA_ERROR_OUT_OF_MEMORY;
  if (ftruncate(fd, static_cast<off_t>(size))) {
    close(fd);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  *out = reinterpret_cast<uintptr_t>(new Handle{fd, *properties});
  return CUDA_SUCCESS;
}

FAKECUDA_API CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  fakecuda::Release(HandleOf(handle));
  return CUDA_SUCCESS;
}

FAKECUDA_API CUresult cuMemAddressReserve(CUdeviceptr* out, size_t size, size_t alignment, CUdeviceptr,
                                          unsigned long long) {
  *out = Memory::Get().Reserve(size, alignment);
  return *out ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

// The arena is far larger than any test: reserved address space is not used again.
FAKECUDA_API CUresult cuMemAddressFree(CUdeviceptr, size_t) { return CUDA_SUCCESS; }

FAKECUDA_API CUresult cuMemMap(CUdeviceptr address, size_t size, size_t offset, CUmemGenericAllocationHandle generic,
                               unsigned long long) {
  Handle* handle = HandleOf(generic);
  const CUmemLocation& location = handle->properties.location;
  bool device = location.type == CU_MEM_LOCATION_TYPE_DEVICE;
  fakecuda::Allocation allocation{.base = address,
                                  .size = size,
                                  .mapped = size,
                                  .fd = handle->fd,
                                  .device = device ? location.id : 0,
                                  .type = device ? cudaMemoryTypeDevice : cudaMemoryTypeHost};
  if (!Memory::Get().Map(allocation, handle->fd, offset)) return CUDA_ERROR_OUT_OF_MEMORY;
  ++handle->references;
  std::lock_guard lock(TheMappings().mutex);
  TheMappings().by_address[address] = handle;
  return CUDA_SUCCESS;
}

FAKECUDA_API CUresult cuMemUnmap(CUdeviceptr address, size_t size) {
  Handle* handle;
  {
    std::lock_guard lock(TheMappings().mutex);
    auto found = TheMappings().by_address.find(address);
    if (found == TheMappings().by_address.end()) return CUDA_ERROR_INVALID_VALUE;
    handle = found->second;
    TheMappings().by_address.erase(found);
  }
  Memory::Get().Unmap(address, size);
  fakecuda::Release(handle);
  return CUDA_SUCCESS;
}

FAKECUDA_API CUresult cuMemSetAccess(CUdeviceptr, size_t, const CUmemAccessDesc*, size_t) { return CUDA_SUCCESS; }

FAKECUDA_API CUresult cuMemExportToShareableHandle(void* out, CUmemGenericAllocationHandle handle,
                                                   CUmemAllocationHandleType type, unsigned long long) {
  if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) return CUDA_ERROR_NOT_SUPPORTED;
  int fd = fcntl(HandleOf(handle)->fd, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return CUDA_ERROR_OPERATING_SYSTEM;
  *static_cast<int*>(out) = fd;
  return CUDA_SUCCESS;
}

FAKECUDA_API CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle* out, void* os_handle,
                                                     CUmemAllocationHandleType type) {
  if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) return CUDA_ERROR_NOT_SUPPORTED;
  int fd = fcntl(static_cast<int>(reinterpret_cast<uintptr_t>(os_handle)), F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return CUDA_ERROR_INVALID_VALUE;
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  properties.location.id = fakecuda::CurrentDevice();
  properties.requestedHandleTypes = type;
  *out = reinterpret_cast<uintptr_t>(new Handle{fd, properties});
  return CUDA_SUCCESS;
}

FAKECUDA_API CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* out, void* pointer) {
  auto allocation = Memory::Get().Find(pointer);
  if (!allocation) return CUDA_ERROR_INVALID_VALUE;
  std::lock_guard lock(TheMappings().mutex);
  auto found = TheMappings().by_address.find(allocation->base);
  if (found == TheMappings().by_address.end()) return CUDA_ERROR_INVALID_VALUE;
  ++found->second->references;
  *out = reinterpret_cast<uintptr_t>(found->second);
  return CUDA_SUCCESS;
}

FAKECUDA_API CUresult cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp* out,
                                                             CUmemGenericAllocationHandle handle) {
  *out = HandleOf(handle)->properties;
  return CUDA_SUCCESS;
}
