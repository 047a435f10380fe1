// All-reduces until NCCL reports an error, which the test around this process provokes.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

#include "perf/programs.h"

namespace perf {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

duration<double> Since(steady_clock::time_point start) { return steady_clock::now() - start; }

}  // namespace

int RunFault(Session& session, const Options& options) {
  const int rank = session.rank();
  const size_t count = std::max<size_t>(options.min_bytes / sizeof(float), 1);
  void *send, *recv;
  CheckCuda(cudaMalloc(&send, count * sizeof(float)), "cudaMalloc");
  CheckCuda(cudaMalloc(&recv, count * sizeof(float)), "cudaMalloc");
  CheckCuda(cudaMemset(send, 0, count * sizeof(float)), "cudaMemset");

  const auto start = steady_clock::now();
  const duration<double> limit(options.timeout);
  ncclResult_t error = ncclSuccess;
  long operations = 0;
  printf("rank %d: fault: running\n", rank);
  fflush(stdout);
  while (error == ncclSuccess && Since(start) < limit) {
    error = session.TryIdle(std::min(duration<double>(options.hold), limit - Since(start)));
    if (error != ncclSuccess) break;
    error = session.Call("ncclAllReduce", [&] {
      return ncclAllReduce(send, recv, count, ncclFloat, ncclSum, session.comm(), session.stream());
    });
    if (error == ncclSuccess && session.TryFinish(limit - Since(start), error)) operations++;
  }
  const double seconds = Since(start).count();
  const std::string last = ncclGetLastError(session.comm());
  const auto abort_start = steady_clock::now();
  session.Abort();
  const double abort_milliseconds = Since(abort_start).count() * 1e3;
  if (error == ncclSuccess) {
    Complain("fault: no error in %.1f s, %ld operations", seconds, operations);
    return 1;
  }
  if (options.json) {
    printf("{\"rank\":%d,\"operations\":%ld,\"error\":%d,\"seconds\":%.3f,\"abort_ms\":%.1f}\n", rank, operations,
           error, seconds, abort_milliseconds);
  } else {
    printf("rank %d: fault: %ld operations, then error %d (%s) after %.3f s, abort took %.1f ms; last error: %s\n",
           rank, operations, error, ncclGetErrorString(error), seconds, abort_milliseconds, last.c_str());
  }
  fflush(stdout);
  return 0;
}

}  // namespace perf
