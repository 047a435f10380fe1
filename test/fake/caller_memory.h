// Memory of NCCL's, which may be taken away: whoever touches it afterwards is killed by the kernel.
#pragma once
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstddef>

namespace relay::fake {

class CallerMemory {
 public:
  explicit CallerMemory(size_t size) : size_(size) {
    void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(data, MAP_FAILED);
    data_ = static_cast<std::byte*>(data);
  }
  ~CallerMemory() { munmap(data_, size_); }
  CallerMemory(const CallerMemory&) = delete;
  CallerMemory& operator=(const CallerMemory&) = delete;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  void TakeAway() { Protect(PROT_NONE); }
  void GiveBack() { Protect(PROT_READ | PROT_WRITE); }

 private:
  void Protect(int rights) { EXPECT_EQ(mprotect(data_, size_, rights), 0); }

  std::byte* data_ = nullptr;
  const size_t size_;
};

}  // namespace relay::fake
