// The memory that an agent's relayed RDMA payload passes through: taken per circuit from one bounded budget, huge pages
// where the kernel has some.
#pragma once
#include <cstddef>
#include <memory>
#include <optional>

namespace relay::agent {

// What is left of the bytes that may be registered for relaying.
class SlotBudget {
 public:
  explicit SlotBudget(size_t bytes) : limit_(bytes) {}
  size_t limit() const { return limit_; }
  size_t used() const { return used_; }

 private:
  friend class SlotMemory;
  const size_t limit_;
  size_t used_ = 0;
};

class SlotMemory {
 public:
  // nullopt: the budget, or the kernel, has no more. The budget outlives it.
  static std::optional<SlotMemory> Take(SlotBudget& budget, size_t bytes);
  SlotMemory(SlotMemory&& other) noexcept;
  SlotMemory& operator=(SlotMemory&&) = delete;
  ~SlotMemory();

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  SlotMemory(SlotBudget& budget, std::byte* data, size_t size);

  SlotBudget* budget_;
  std::byte* data_;
  size_t size_;
};

}  // namespace relay::agent
