// The memory that an agent's relayed RDMA payload passes through: taken per circuit from one bounded budget. In the
// GPU's memory where that is wanted and can be, else in the host's: huge pages where the kernel has some.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/cuda_memory.h"
#include "transport/rdma/device.h"

namespace relay::agent {

enum class SlotKind : uint8_t { kHost, kHuge, kGpu };

// What may be registered for relaying, and what is.
class SlotBudget {
 public:
  // `gpu`: where slots are wanted first; null: in host memory.
  explicit SlotBudget(size_t bytes, std::shared_ptr<CudaDevice> gpu = nullptr);
  size_t limit() const { return limit_; }
  size_t used() const { return used_[0] + used_[1] + used_[2]; }
  size_t used(SlotKind kind) const { return used_[static_cast<size_t>(kind)]; }

  bool gpu() const { return gpu_ != nullptr; }
  // From now on all are taken from host memory; said aloud once.
  void GiveUpGpu(const std::string& why);
  // Why not the GPU's, though it was wanted; empty: it is, or was not.
  const std::string& why_host() const { return why_host_; }

 private:
  friend class SlotMemory;
  const size_t limit_;
  std::array<size_t, 3> used_{};  // by kind
  std::shared_ptr<CudaDevice> gpu_;
  std::string why_host_;
};

class SlotMemory {
 public:
  // An error where the budget, the kernel or the limit of locked memory has no more. The budget outlives it.
  static Result<SlotMemory> Take(SlotBudget& budget, size_t bytes);
  SlotMemory(SlotMemory&& other) noexcept;
  SlotMemory& operator=(SlotMemory&&) = delete;
  ~SlotMemory();

  SlotKind kind() const { return kind_; }
  std::byte* data() const { return data_; }  // no CPU may touch a GPU's
  size_t size() const { return size_; }
  Result<std::shared_ptr<transport::rdma::Memory>> RegisterOn(transport::rdma::Device& device) const;

 private:
  SlotMemory(SlotBudget& budget, SlotKind kind, std::byte* data, size_t size);
  static Result<SlotMemory> TakeOfGpu(SlotBudget& budget, size_t size);

  SlotBudget* budget_;  // null: moved away
  SlotKind kind_;
  std::byte* data_;
  size_t size_;
  std::optional<CudaMemory> gpu_;
};

}  // namespace relay::agent
