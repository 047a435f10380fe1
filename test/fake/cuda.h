// NVIDIA's driver inside this process: GPUs whose memory is that of memfds, which no CPU sees at their addresses.
//
//   FakeCuda fake;
//   auto device = CudaDevice::Open(0, &fake.table());
//   ... fake.Leaks() == "" when everything is gone
#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <mutex>
#include <string>

#include "base/cuda.h"

namespace relay::fake {

class FakeCuda {
 public:
  // As the driver numbers them.
  static constexpr int kInvalidValue = 1, kOutOfMemory = 2, kNoContext = 201, kNoDevice = 100, kNotSupported = 801;

  FakeCuda() {
    table_.init = [](unsigned) { return 0; };
    table_.device_get = [this](int* device, int ordinal) {
      *device = ordinal + 40;  // no ordinal
      return ordinal < gpus ? 0 : kNoDevice;
    };
    table_.device_get_attribute = [this](int* value, int attribute, int) {
      *value = attribute == 124 && dma_buf ? 1 : 0;
      return 0;
    };
    table_.primary_context_retain = [this](void** context, int) {
      std::lock_guard lock(mutex_);
      ++contexts_;
      *context = this;
      return 0;
    };
    table_.primary_context_release = [this](int) {
      std::lock_guard lock(mutex_);
      --contexts_;
      return 0;
    };
    table_.context_push = [this](void* context) {
      std::lock_guard lock(mutex_);
      if (context == this) ++entered_;
      return context == this ? 0 : kNoContext;
    };
    table_.context_pop = [this](void**) {
      std::lock_guard lock(mutex_);
      --entered_;
      return 0;
    };
    table_.memory_allocate = [this](uint64_t* address, size_t bytes) { return Allocate(address, bytes); };
    table_.memory_free = [this](uint64_t address) { return Free(address); };
    table_.handle_for_address_range = [this](void* handle, uint64_t address, size_t bytes, int type,
                                             unsigned long long) {
      std::lock_guard lock(mutex_);
      const auto it = memory_.find(address);
      if (!exports) return kNotSupported;
      if (entered_ == 0) return kNoContext;
      if (it == memory_.end() || it->second.bytes != bytes || type != 1) return kInvalidValue;
      *static_cast<int*>(handle) = dup(it->second.fd);
      return 0;
    };
    table_.error_text = [](int error, const char** text) {
      *text = error == kOutOfMemory ? "out of memory" : "operation not supported";
      return 0;
    };
  }
  FakeCuda(const FakeCuda&) = delete;
  FakeCuda& operator=(const FakeCuda&) = delete;

  Cuda& table() { return table_; }
  // Hardware: before the calls that ask for it.
  int gpus = 1;
  bool dma_buf = true, exports = true;
  size_t room = SIZE_MAX;  // bytes that may still be allocated

  std::string Leaks() const {
    std::lock_guard lock(mutex_);
    if (contexts_ == 0 && entered_ == 0 && memory_.empty()) return "";
    return std::to_string(contexts_) + " contexts, " + std::to_string(entered_) + " entered, " +
           std::to_string(memory_.size()) + " allocations";
  }

 private:
  struct Allocation {
    int fd;
    size_t bytes;
  };

  // The addresses are reserved, and not to be touched.
  int Allocate(uint64_t* address, size_t bytes) {
    std::lock_guard lock(mutex_);
    if (entered_ == 0) return kNoContext;
    if (bytes > room) return kOutOfMemory;
    const int fd = memfd_create("gpu", MFD_CLOEXEC);
    void* place = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (fd < 0 || ftruncate(fd, static_cast<off_t>(bytes)) != 0 || place == MAP_FAILED) return kOutOfMemory;
    *address = reinterpret_cast<uint64_t>(place);
    memory_[*address] = {fd, bytes};
    room -= bytes;
    return 0;
  }

  int Free(uint64_t address) {
    std::lock_guard lock(mutex_);
    const auto it = memory_.find(address);
    if (entered_ == 0) return kNoContext;
    if (it == memory_.end()) return kInvalidValue;
    munmap(reinterpret_cast<void*>(address), it->second.bytes);
    close(it->second.fd);
    room += it->second.bytes;
    memory_.erase(it);
    return 0;
  }

  Cuda table_;
  mutable std::mutex mutex_;
  int contexts_ = 0, entered_ = 0;
  std::map<uint64_t, Allocation> memory_;
};

}  // namespace relay::fake
