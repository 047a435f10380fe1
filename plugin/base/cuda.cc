#include "base/cuda.h"

#include <dlfcn.h>

#include <mutex>
#include <string>

namespace relay {
namespace {

template <class Signature>
void FindCall(void* library, const char* name, std::function<Signature>& to, std::string& missing) {
  if (void* symbol = dlsym(library, name)) {
    to = reinterpret_cast<Signature*>(symbol);
  } else if (missing.empty()) {
    missing = name;
  }
}

}  // namespace

Result<Cuda> LoadCudaFrom(const char* file) {
  void* library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = dlerror();
    return Fail(ErrorCode::kSystem, std::string("NVIDIA's driver is needed, and ") + file + " does not load here (" +
                                        (why != nullptr ? why : "no reason given") +
                                        "): in a container, start it with the GPUs (--gpus all)");
  }
  Cuda cuda;
  std::string missing;
  FindCall(library, "cuInit", cuda.init, missing);
  FindCall(library, "cuDeviceGet", cuda.device_get, missing);
  FindCall(library, "cuDeviceGetAttribute", cuda.device_get_attribute, missing);
  FindCall(library, "cuDevicePrimaryCtxRetain", cuda.primary_context_retain, missing);
  FindCall(library, "cuDevicePrimaryCtxRelease_v2", cuda.primary_context_release, missing);
  FindCall(library, "cuCtxPushCurrent_v2", cuda.context_push, missing);
  FindCall(library, "cuCtxPopCurrent_v2", cuda.context_pop, missing);
  FindCall(library, "cuMemAlloc_v2", cuda.memory_allocate, missing);
  FindCall(library, "cuMemFree_v2", cuda.memory_free, missing);
  FindCall(library, "cuMemGetHandleForAddressRange", cuda.handle_for_address_range, missing);
  FindCall(library, "cuGetErrorString", cuda.error_text, missing);
  if (missing.empty()) return cuda;
  return Fail(ErrorCode::kSystem,
              std::string(file) + " has no " + missing + ": a driver for CUDA 11.7 or newer has it");
}

Result<const Cuda*> LoadCuda() {
  // Lives as long as the process, as the library does.
  static constinit std::mutex mutex;
  static constinit const Cuda* loaded = nullptr;
  std::lock_guard lock(mutex);
  if (loaded != nullptr) return loaded;
  auto cuda = LoadCudaFrom("libcuda.so.1");
  RELAY_TRY(cuda);
  loaded = new Cuda(std::move(*cuda));
  return loaded;
}

}  // namespace relay
