#include "agent/slot_space.h"

#include <sys/mman.h>

#include <utility>

namespace relay::agent {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

SlotMemory::SlotMemory(SlotBudget& budget, std::byte* data, size_t size) : budget_(&budget), data_(data), size_(size) {
  budget.used_ += size;
}

SlotMemory::SlotMemory(SlotMemory&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)), data_(other.data_), size_(other.size_) {}

SlotMemory::~SlotMemory() {
  if (budget_ == nullptr) return;
  munmap(data_, size_);
  budget_->used_ -= size_;
}

std::optional<SlotMemory> SlotMemory::Take(SlotBudget& budget, size_t bytes) {
  const size_t size = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  if (size > budget.limit_ - budget.used_) return std::nullopt;
  constexpr int kAnonymous = MAP_PRIVATE | MAP_ANONYMOUS;
  void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, kAnonymous | MAP_HUGETLB, -1, 0);
  if (data == MAP_FAILED) data = mmap(nullptr, size, PROT_READ | PROT_WRITE, kAnonymous, -1, 0);
  if (data == MAP_FAILED) return std::nullopt;
  // A child of this process must not turn pages that a device holds into copies.
  madvise(data, size, MADV_DONTFORK);
  return SlotMemory(budget, static_cast<std::byte*>(data), size);
}

}  // namespace relay::agent
