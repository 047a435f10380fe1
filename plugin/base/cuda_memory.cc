#include "base/cuda_memory.h"

#include <fcntl.h>

#include <string>
#include <utility>

#include "base/log.h"

namespace relay {
namespace {

// The driver's interface, cuda.h, gives these numbers.
constexpr int kDmaBufSupported = 124;  // CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED
constexpr int kDmaBufHandle = 1;       // CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD
constexpr size_t kPage = size_t{2} << 20;

tl::unexpected<Error> CudaError(const Cuda& cuda, const std::string& what, int error) {
  const char* text = nullptr;
  if (cuda.error_text(error, &text) != 0 || text == nullptr) text = "no reason given";
  return Fail(ErrorCode::kSystem, what + ": " + text + " (CUDA error " + std::to_string(error) + ")");
}

// The driver's calls work on the current context of the calling thread.
class Current {
 public:
  explicit Current(const CudaDevice& device) : cuda_(device.cuda()), error_(cuda_.context_push(device.context())) {}
  ~Current() {
    void* popped = nullptr;
    if (error_ == 0) cuda_.context_pop(&popped);
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;
  int error() const { return error_; }

 private:
  const Cuda& cuda_;
  const int error_;
};

}  // namespace

Result<std::shared_ptr<CudaDevice>> CudaDevice::Open(int ordinal, const Cuda* cuda) {
  if (cuda == nullptr) {
    auto loaded = LoadCuda();
    RELAY_TRY(loaded);
    cuda = *loaded;
  }
  const std::string name = "GPU " + std::to_string(ordinal);
  if (const int error = cuda->init(0)) return CudaError(*cuda, "NVIDIA's driver does not start", error);
  int device = 0, exports = 0;
  if (const int error = cuda->device_get(&device, ordinal)) return CudaError(*cuda, "there is no " + name, error);
  if (const int error = cuda->device_get_attribute(&exports, kDmaBufSupported, device)) {
    return CudaError(*cuda, name + " does not say whether it exports DMA-BUF", error);
  }
  if (exports == 0) {
    return Fail(ErrorCode::kSystem, name +
                                        " exports no DMA-BUF: that needs the open kernel modules of NVIDIA's driver, "
                                        "Linux 5.12 and a GPU of the Turing generation or newer");
  }
  void* context = nullptr;
  if (const int error = cuda->primary_context_retain(&context, device)) {
    return CudaError(*cuda, name + " gives no context", error);
  }
  return std::shared_ptr<CudaDevice>(new CudaDevice(*cuda, device, context));
}

CudaDevice::~CudaDevice() { cuda_->primary_context_release(device_); }

Result<CudaMemory> CudaMemory::Allocate(std::shared_ptr<CudaDevice> device, size_t bytes) {
  const Cuda& cuda = device->cuda();
  const size_t size = (bytes + kPage - 1) / kPage * kPage;
  const Current current(*device);
  if (current.error() != 0) return CudaError(cuda, "a GPU's context cannot be entered", current.error());
  uint64_t address = 0;
  if (const int error = cuda.memory_allocate(&address, size)) {
    return CudaError(cuda, "a GPU has no " + std::to_string(size >> 20) + " MiB of memory", error);
  }
  CudaMemory out(std::move(device), address, size);
  int fd = -1, error = 0;
  out.fd_ = Fd::Born([&] {
    error = cuda.handle_for_address_range(&fd, address, size, kDmaBufHandle, 0);
    return error == 0 ? fd : -1;
  });
  if (error != 0) return CudaError(cuda, "a GPU's memory cannot be exported as DMA-BUF", error);
  // Whatever the driver has made of it: no program that this process starts may hold the GPU's memory.
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return FailErrno(ErrorCode::kSystem, "a DMA-BUF is no descriptor");
  return out;
}

CudaMemory::CudaMemory(CudaMemory&& other) noexcept
    : device_(std::move(other.device_)),
      address_(std::exchange(other.address_, 0)),
      size_(other.size_),
      fd_(std::move(other.fd_)) {}

CudaMemory::~CudaMemory() {
  if (address_ == 0) return;
  fd_.reset();
  const Current current(*device_);
  const int error = current.error() != 0 ? current.error() : device_->cuda().memory_free(address_);
  if (error != 0) RELAY_WARN("a GPU does not take %zu bytes of memory back: CUDA error %d", size_, error);
}

}  // namespace relay
