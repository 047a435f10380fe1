// Memory of a GPU that other devices may be given: allocated by the driver and exported as DMA-BUF. No CPU touches it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/cuda.h"
#include "base/fd.h"

namespace relay {

// One GPU's primary context, held as long as anybody holds this. Any thread.
class CudaDevice {
 public:
  // `ordinal` as CUDA counts those that it may see. `cuda` null: LoadCuda(); a table given must outlive the device. An
  // error where there is no such GPU, or one whose driver exports no DMA-BUF.
  static Result<std::shared_ptr<CudaDevice>> Open(int ordinal, const Cuda* cuda = nullptr);
  ~CudaDevice();
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  const Cuda& cuda() const { return *cuda_; }
  void* context() const { return context_; }

 private:
  CudaDevice(const Cuda& cuda, int device, void* context) : cuda_(&cuda), device_(device), context_(context) {}

  const Cuda* cuda_;
  const int device_;
  void* const context_;
};

class CudaMemory {
 public:
  // Rounded up to whole pages of 2 MiB, as the GPU has them.
  static Result<CudaMemory> Allocate(std::shared_ptr<CudaDevice> device, size_t bytes);
  CudaMemory(CudaMemory&& other) noexcept;
  CudaMemory& operator=(CudaMemory&&) = delete;
  ~CudaMemory();

  uint64_t address() const { return address_; }  // the GPU's
  size_t size() const { return size_; }
  int fd() const { return fd_.get(); }  // of the DMA-BUF, whose first byte is the memory's

 private:
  CudaMemory(std::shared_ptr<CudaDevice> device, uint64_t address, size_t size)
      : device_(std::move(device)), address_(address), size_(size) {}

  std::shared_ptr<CudaDevice> device_;
  uint64_t address_;  // 0: moved away
  size_t size_;
  Fd fd_;
};

}  // namespace relay
