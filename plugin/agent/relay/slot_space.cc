#include "agent/relay/slot_space.h"

#include <sys/mman.h>

#include <utility>

#include "base/log.h"
#include "transport/rdma/memlock.h"

namespace relay::agent {
namespace {

namespace rdma = transport::rdma;

constexpr size_t kHugePage = size_t{2} << 20;
// Slots are registered with the devices of both hops, and the kernel counts locked pages for each.
constexpr size_t kRegistrations = 2;

void* Map(size_t size, int flags) {
  return mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

// Where whole huge pages fit, which the kernel may then use.
std::byte* MapAligned(size_t size) {
  void* wide = Map(size + kHugePage, 0);
  if (wide == MAP_FAILED) return nullptr;
  auto* const begin = static_cast<std::byte*>(wide);
  const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
  if (before > 0) munmap(begin, before);
  munmap(begin + before + size, kHugePage - before);
  madvise(begin + before, size, MADV_HUGEPAGE);
  return begin + before;
}

}  // namespace

SlotBudget::SlotBudget(size_t bytes, std::shared_ptr<CudaDevice> gpu) : limit_(bytes), gpu_(std::move(gpu)) {}

void SlotBudget::GiveUpGpu(const std::string& why) {
  gpu_.reset();
  why_host_ = why;
  RELAY_WARN("relayed payload passes through host memory in spite of NCCL_RELAY_STAGING=gpu: %s", why.c_str());
}

SlotMemory::SlotMemory(SlotBudget& budget, SlotKind kind, std::byte* data, size_t size)
    : budget_(&budget), kind_(kind), data_(data), size_(size) {
  budget.used_[static_cast<size_t>(kind)] += size;
}

SlotMemory::SlotMemory(SlotMemory&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)),
      kind_(other.kind_),
      data_(other.data_),
      size_(other.size_),
      gpu_(std::move(other.gpu_)) {}

SlotMemory::~SlotMemory() {
  if (budget_ == nullptr) return;
  if (kind_ != SlotKind::kGpu) munmap(data_, size_);
  budget_->used_[static_cast<size_t>(kind_)] -= size_;
}

Result<SlotMemory> SlotMemory::TakeOfGpu(SlotBudget& budget, size_t size) {
  auto gpu = CudaMemory::Allocate(budget.gpu_, size);
  RELAY_TRY(gpu);
  SlotMemory out(budget, SlotKind::kGpu, reinterpret_cast<std::byte*>(gpu->address()), gpu->size());
  out.gpu_.emplace(std::move(*gpu));
  return out;
}

Result<SlotMemory> SlotMemory::Take(SlotBudget& budget, size_t bytes) {
  const size_t size = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  if (budget.used() > budget.limit_ || size > budget.limit_ - budget.used()) {
    return Fail(ErrorCode::kSystem, "its slots take all " + std::to_string(budget.limit_ >> 20) +
                                        " MiB that it may register for relaying (NCCL_RELAY_REGISTERED)");
  }
  if (budget.gpu_) {
    auto gpu = TakeOfGpu(budget, size);
    if (gpu) return gpu;
    budget.GiveUpGpu(gpu.error().what);
  }
  const size_t host = budget.used(SlotKind::kHost) + budget.used(SlotKind::kHuge);
  RELAY_TRY(rdma::CheckMemlock(kRegistrations * (host + size), rdma::LockableBytes()));
  SlotKind kind = SlotKind::kHuge;
  void* huge = Map(size, MAP_HUGETLB);
  auto* data = static_cast<std::byte*>(huge);
  if (huge == MAP_FAILED) {
    kind = SlotKind::kHost;
    data = MapAligned(size);
  }
  if (data == nullptr) return FailErrno(ErrorCode::kSystem, "the kernel has no memory for its slots");
  // A child of this process must not turn pages that a device holds into copies.
  madvise(data, size, MADV_DONTFORK);
  return SlotMemory(budget, kind, data, size);
}

Result<std::shared_ptr<rdma::Memory>> SlotMemory::RegisterOn(rdma::Device& device) const {
  return gpu_ ? device.RegisterDmaBuf(data_, size_, 0, gpu_->fd()) : device.Register(data_, size_);
}

}  // namespace relay::agent
