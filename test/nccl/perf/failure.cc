#include "perf/failure.h"

#include <unistd.h>

#include <cstdarg>
#include <cstdio>

namespace perf {
namespace {
int failure_rank = 0;

void Print(const char* format, va_list arguments) {
  char sentence[2048];
  vsnprintf(sentence, sizeof sentence, format, arguments);
  fflush(stdout);
  fprintf(stderr, "nccl_perf: rank %d: %s\n", failure_rank, sentence);
}

}  // namespace

void SetFailureRank(int rank) { failure_rank = rank; }

void Complain(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  Print(format, arguments);
  va_end(arguments);
}

void Fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  Print(format, arguments);
  va_end(arguments);
  _exit(1);
}

void CheckCuda(cudaError_t result, const char* call) {
  if (result != cudaSuccess) Fail("%s: %s", call, cudaGetErrorString(result));
}

void CheckNccl(ncclResult_t result, const char* call) {
  if (result != ncclSuccess)
    Fail("%s: %s (%d); last error: %s", call, ncclGetErrorString(result), result, ncclGetLastError(nullptr));
}

}  // namespace perf
