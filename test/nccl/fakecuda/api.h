// What every file of the shim that defines CUDA entry points needs: NVIDIA's declarations, the export mark, the
// thread's sticky error. The CUDA API is process-wide state by nature, so the shim's state is too: each piece sits in a
// function-local static that is never destroyed, because NCCL's threads and the streams' threads outlive main().
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#define FAKECUDA_API extern "C" __attribute__((visibility("default")))

namespace fakecuda {

inline constexpr int kCudaVersion = CUDART_VERSION;  // what driver and runtime report

// Remembers an error for cudaGetLastError() of this thread and returns it.
cudaError_t Report(cudaError_t error);

int CurrentDevice();
void SetCurrentDevice(int device);

}  // namespace fakecuda
