// Device memory: one reserved range of addresses, each allocation a memfd that is mapped twice. The device view is the
// pointer that NCCL and plugins hold; in guard mode the CPU cannot touch it, as on real hardware. The alias view, at a
// constant distance, is used by copies, kernels and simulated NICs. Any thread may call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>

#include "fakecuda/api.h"

namespace fakecuda {

inline constexpr size_t kPage = size_t{2} << 20;  // allocation granularity of real GPUs

struct ArenaBounds {
  uintptr_t low, high;
  ptrdiff_t to_alias;
};
extern ArenaBounds arena_bounds;  // zero until the first allocation; constant from then on

inline bool IsDevicePointer(const void* pointer) {
  auto address = reinterpret_cast<uintptr_t>(pointer);
  return address >= arena_bounds.low && address < arena_bounds.high;
}

template <class T>
T* HostAlias(T* pointer) {
  if (!IsDevicePointer(pointer)) return pointer;
  return reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(pointer) + static_cast<uintptr_t>(arena_bounds.to_alias));
}

struct Allocation {
  uintptr_t base;
  size_t size;    // as asked for
  size_t mapped;  // bytes of address space that a free returns; 0 for memory the caller owns (cudaHostRegister)
  int fd;         // the memfd, -1 for host memory
  int device;
  cudaMemoryType type;
};

class Memory {
 public:
  static Memory& Get();

  // Device memory. Free() takes only what Allocate() and Import() gave.
  cudaError_t Allocate(void** out, size_t size);
  cudaError_t Free(void* pointer);
  // Maps another process's allocation; owns `fd` in any case.
  cudaError_t Import(void** out, int fd, size_t size);

  // Pinned and registered host memory.
  cudaError_t AllocateHost(void** out, size_t size);
  cudaError_t FreeHost(void* pointer);
  void RegisterHost(void* pointer, size_t size);
  void UnregisterHost(void* pointer);

  // Virtual memory management: address space and mappings by hand. The fd stays the caller's.
  uintptr_t Reserve(size_t size, size_t alignment);  // 0 when the arena is full
  bool Map(const Allocation& allocation, int fd, size_t offset);
  void Unmap(uintptr_t base, size_t size);

  std::optional<Allocation> Find(const void* pointer);

 private:
  Memory();
  uintptr_t ReserveLocked(size_t size, size_t alignment);
  bool MapLocked(const Allocation& allocation, int fd, size_t offset);
  void UnmapLocked(uintptr_t base, size_t size);

  std::mutex mutex_;
  std::map<uintptr_t, Allocation> allocations_;  // by base address
  std::multimap<size_t, uintptr_t> holes_;       // freed address space by size
  uintptr_t next_;
};

}  // namespace fakecuda
