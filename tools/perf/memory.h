// Whole pages of their own: what touches them after their end faults.
#pragma once
#include <cstddef>
#include <span>

#include "relay/result.h"

namespace relay::perf {

class Memory {
 public:
  Memory() = default;
  static Result<Memory> Map(size_t bytes);  // zeros
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;
  ~Memory();

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  std::span<float> floats() const { return {reinterpret_cast<float*>(data_), size_ / sizeof(float)}; }

 private:
  Memory(std::byte* data, size_t size) : data_(data), size_(size) {}
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace relay::perf
