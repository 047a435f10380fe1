#include "fakecuda/kernel.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "fakecuda/api.h"
#include "fakecuda/log.h"
#include "fakecuda/stream.h"
#include "fakecuda/symbols.h"

namespace fakecuda {
namespace {

struct Function {
  std::string name;
};

Function* FunctionOf(const void* host_stub) {
  static std::mutex& mutex = *new std::mutex;
  static auto& known = *new std::map<const void*, std::unique_ptr<Function>>;
  std::lock_guard lock(mutex);
  auto& function = known[host_stub];
  if (!function) function = std::make_unique<Function>(Function{NcclSymbols().NameOf(host_stub)});
  return function.get();
}

CUresult LaunchOn(CUstream stream, const Function& function, unsigned grid, void** extra) {
  const void* buffer = nullptr;
  size_t size = 0;
  for (int i = 0; extra && extra[i] != CU_LAUNCH_PARAM_END; i += 2) {
    if (extra[i] == CU_LAUNCH_PARAM_BUFFER_POINTER) buffer = extra[i + 1];
    if (extra[i] == CU_LAUNCH_PARAM_BUFFER_SIZE) size = *static_cast<size_t*>(extra[i + 1]);
  }
  if (!buffer) Die("kernel %s was launched without a parameter buffer", function.name.c_str());
  // Batches in the buffer are aligned to 16 bytes in device code.
  std::shared_ptr<void> copy(aligned_alloc(64, (size + 63) / 64 * 64), free);
  memcpy(copy.get(), buffer, size);
  Log(2, "launch %s, %u blocks, %zu bytes of arguments", function.name.c_str(), grid, size);
  StreamOf(stream).Push([=, name = function.name.c_str()] { RunKernel({name, grid, copy.get(), size}); });
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace fakecuda

FAKECUDA_API cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* out, const void*) {
  out->maxThreadsPerBlock = 1024;
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) { return cudaSuccess; }

FAKECUDA_API cudaError_t cudaGetFuncBySymbol(cudaFunction_t* out, const void* host_stub) {
  *out = reinterpret_cast<cudaFunction_t>(fakecuda::FunctionOf(host_stub));
  return cudaSuccess;
}

FAKECUDA_API CUresult cuLaunchKernel(CUfunction function, unsigned grid, unsigned, unsigned, unsigned, unsigned,
                                     unsigned, unsigned, CUstream stream, void**, void** extra) {
  return fakecuda::LaunchOn(stream, *reinterpret_cast<fakecuda::Function*>(function), grid, extra);
}

FAKECUDA_API CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void**, void** extra) {
  for (unsigned i = 0; i < config->numAttrs; i++) {
    const CUlaunchAttribute& attribute = config->attrs[i];
    if (attribute.id == CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT)
      cudaEventRecord(attribute.value.launchCompletionEvent.event, config->hStream);
  }
  return fakecuda::LaunchOn(config->hStream, *reinterpret_cast<fakecuda::Function*>(function), config->gridDimX, extra);
}
