#include "fakecuda/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "fakecuda/config.h"
#include "fakecuda/host_alias.h"
#include "fakecuda/log.h"

namespace fakecuda {

ArenaBounds arena_bounds;

namespace {

constexpr size_t kArena = size_t{1} << 38;  // address space, not memory
constexpr size_t kHostPage = 4096;

size_t RoundUp(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }
void* Pointer(uintptr_t address) { return reinterpret_cast<void*>(address); }
uintptr_t AliasOf(uintptr_t address) { return address + static_cast<uintptr_t>(arena_bounds.to_alias); }

}  // namespace

Memory& Memory::Get() {
  static Memory& memory = *new Memory;
  return memory;
}

Memory::Memory() {
  void* range = mmap(nullptr, 2 * kArena + kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) Die("cannot reserve address space for device memory: %s", strerror(errno));
  uintptr_t low = RoundUp(reinterpret_cast<uintptr_t>(range), kPage);
  arena_bounds = {low, low + kArena, kArena};
  next_ = low;
}

uintptr_t Memory::ReserveLocked(size_t size, size_t alignment) {
  uintptr_t base = RoundUp(next_, std::max(alignment, kPage));
  if (size > kArena || base + size > arena_bounds.high) return 0;
  next_ = base + size + kPage;  // a gap between neighbours: running over the end faults
  return base;
}

bool Memory::MapLocked(const Allocation& allocation, int fd, size_t offset) {
  bool guarded = GetConfig().guard && allocation.type == cudaMemoryTypeDevice;
  void* alias = mmap(Pointer(AliasOf(allocation.base)), allocation.mapped, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_FIXED, fd, static_cast<off_t>(offset));
  void* view = mmap(Pointer(allocation.base), allocation.mapped, guarded ? PROT_NONE : PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_FIXED, fd, static_cast<off_t>(offset));
  if (alias == MAP_FAILED || view == MAP_FAILED) {
    Log(0, "cannot map %zu bytes of device memory: %s", allocation.mapped, strerror(errno));
    return false;
  }
  allocations_[allocation.base] = allocation;
  return true;
}

void Memory::UnmapLocked(uintptr_t base, size_t size) {
  for (uintptr_t view : {base, AliasOf(base)})
    mmap(Pointer(view), size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  allocations_.erase(base);
}

cudaError_t Memory::Allocate(void** out, size_t size) {
  *out = nullptr;
  if (size == 0) return cudaSuccess;
  std::lock_guard lock(mutex_);
  size_t mapped = RoundUp(size, kPage);
  uintptr_t base;
  if (auto hole = holes_.find(mapped); hole != holes_.end()) {
    base = hole->second;
    holes_.erase(hole);
  } else if (base = ReserveLocked(mapped, kPage); base == 0) {
    return cudaErrorMemoryAllocation;
  }
  int fd = memfd_create("fakecuda", MFD_CLOEXEC);
  Allocation allocation{base, size, mapped, fd, CurrentDevice(), cudaMemoryTypeDevice};
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(mapped)) || !MapLocked(allocation, fd, 0)) {
    if (fd >= 0) close(fd);
    holes_.emplace(mapped, base);
    return cudaErrorMemoryAllocation;
  }
  *out = Pointer(base);
  return cudaSuccess;
}

cudaError_t Memory::Free(void* pointer) {
  if (!pointer) return cudaSuccess;
  std::lock_guard lock(mutex_);
  auto found = allocations_.find(reinterpret_cast<uintptr_t>(pointer));
  if (found == allocations_.end() || found->second.type != cudaMemoryTypeDevice) return cudaErrorInvalidValue;
  Allocation allocation = found->second;
  UnmapLocked(allocation.base, allocation.mapped);
  close(allocation.fd);
  holes_.emplace(allocation.mapped, allocation.base);
  return cudaSuccess;
}

cudaError_t Memory::Import(void** out, int fd, size_t size) {
  std::lock_guard lock(mutex_);
  uintptr_t base = ReserveLocked(size, kPage);
  Allocation allocation{base, size, size, fd, CurrentDevice(), cudaMemoryTypeDevice};
  if (base == 0 || !MapLocked(allocation, fd, 0)) {
    close(fd);
    return cudaErrorMemoryAllocation;
  }
  *out = Pointer(base);
  return cudaSuccess;
}

cudaError_t Memory::AllocateHost(void** out, size_t size) {
  size_t mapped = RoundUp(std::max<size_t>(size, 1), kHostPage);
  void* memory = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return cudaErrorMemoryAllocation;
  std::lock_guard lock(mutex_);
  auto base = reinterpret_cast<uintptr_t>(memory);
  allocations_[base] = {base, size, mapped, -1, CurrentDevice(), cudaMemoryTypeHost};
  *out = memory;
  return cudaSuccess;
}

cudaError_t Memory::FreeHost(void* pointer) {
  if (!pointer) return cudaSuccess;
  std::lock_guard lock(mutex_);
  auto found = allocations_.find(reinterpret_cast<uintptr_t>(pointer));
  if (found == allocations_.end()) return cudaErrorInvalidValue;
  const Allocation& allocation = found->second;
  if (allocation.type != cudaMemoryTypeHost || !allocation.mapped) return cudaErrorInvalidValue;
  munmap(pointer, allocation.mapped);
  allocations_.erase(found);
  return cudaSuccess;
}

void Memory::RegisterHost(void* pointer, size_t size) {
  std::lock_guard lock(mutex_);
  auto base = reinterpret_cast<uintptr_t>(pointer);
  allocations_[base] = {base, size, 0, -1, CurrentDevice(), cudaMemoryTypeHost};
}

void Memory::UnregisterHost(void* pointer) {
  std::lock_guard lock(mutex_);
  allocations_.erase(reinterpret_cast<uintptr_t>(pointer));
}

uintptr_t Memory::Reserve(size_t size, size_t alignment) {
  std::lock_guard lock(mutex_);
  return ReserveLocked(RoundUp(size, kPage), alignment);
}

bool Memory::Map(const Allocation& allocation, int fd, size_t offset) {
  std::lock_guard lock(mutex_);
  return MapLocked(allocation, fd, offset);
}

void Memory::Unmap(uintptr_t base, size_t size) {
  std::lock_guard lock(mutex_);
  UnmapLocked(base, size);
}

std::optional<Allocation> Memory::Find(const void* pointer) {
  auto address = reinterpret_cast<uintptr_t>(pointer);
  std::lock_guard lock(mutex_);
  auto after = allocations_.upper_bound(address);
  if (after == allocations_.begin()) return std::nullopt;
  const Allocation& candidate = std::prev(after)->second;
  if (address >= candidate.base + candidate.size) return std::nullopt;
  return candidate;
}

}  // namespace fakecuda

FAKECUDA_API void* fakecuda_host_alias(void* pointer) { return fakecuda::HostAlias(pointer); }
