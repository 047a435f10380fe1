// How a rank ends when something goes wrong: one sentence on stderr that begins with the rank, and exit status 1.
#pragma once

#include <cuda_runtime_api.h>
#include <dlfcn.h>

// nccl.h includes CUDA's headers of small floating-point types only to have their names, and these need another
// package.
#define __CUDA_FP16_H__
#define __CUDA_BF16_H__
#define __CUDA_FP8_H__
#include <nccl.h>

namespace perf {

void SetFailureRank(int rank);

// Prints the sentence.
void Complain(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Prints it and ends the process at once, threads and communicators included: after a failure nothing is known about
// what they wait for.
[[noreturn]] void Fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

// A call of NCCL's that older releases do not have.
template <class Call>
Call* CallNamed(const char* name) {
  void* symbol = dlsym(RTLD_DEFAULT, name);
  if (symbol == nullptr) Fail("this NCCL has no %s", name);
  return reinterpret_cast<Call*>(symbol);
}

void CheckCuda(cudaError_t result, const char* call);
void CheckNccl(ncclResult_t result, const char* call);

}  // namespace perf
