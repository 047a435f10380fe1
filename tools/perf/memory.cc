#include "perf/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

namespace relay::perf {

Result<Memory> Memory::Map(size_t bytes) {
  const size_t size = std::max<size_t>(bytes, 1);
  void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return FailErrno(ErrorCode::kSystem, "no memory for " + std::to_string(size) + " bytes");
  return Memory(static_cast<std::byte*>(data), bytes);
}

Memory::Memory(Memory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Memory::~Memory() {
  if (data_) ::munmap(data_, std::max<size_t>(size_, 1));
}

}  // namespace relay::perf
