#include "perf/session.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

namespace perf {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Polling starts fine enough to time small operations and gets coarser, because the ranks share few cores.
constexpr microseconds kShortestPause(20), kLongestPause(200);
constexpr milliseconds kIdlePause(10);

}  // namespace

Session::Session(const Environment& environment, std::chrono::seconds limit)
    : environment_(environment), watchdog_(limit), rendezvous_(environment, limit) {
  int devices = 0;
  CheckCuda(cudaGetDeviceCount(&devices), "cudaGetDeviceCount");
  CheckCuda(cudaSetDevice(environment_.local_rank % devices), "cudaSetDevice");
  CheckCuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  ncclUniqueId id{};
  if (environment_.rank == 0) CheckNccl(ncclGetUniqueId(&id), "ncclGetUniqueId");
  rendezvous_.Broadcast(&id, sizeof id);
  CheckNccl(
      Call("ncclCommInitRank", [&] { return ncclCommInitRank(&comm_, environment_.ranks, id, environment_.rank); }),
      "ncclCommInitRank");
}

ncclResult_t Session::Call(const char* what, const std::function<ncclResult_t()>& call) {
  Watchdog::Guard guard(watchdog_, what);
  return call();
}

ncclResult_t Session::AsyncError() const {
  ncclResult_t error = ncclSuccess;
  ncclResult_t asked = ncclCommGetAsyncError(comm_, &error);
  return asked != ncclSuccess ? asked : error;
}

bool Session::TryFinish(std::chrono::duration<double> limit, ncclResult_t& error) {
  const auto deadline = steady_clock::now() + limit;
  error = ncclSuccess;
  for (microseconds pause = kShortestPause;; pause = std::min(2 * pause, kLongestPause)) {
    cudaError_t state = cudaStreamQuery(stream_);
    if (state == cudaSuccess) return true;
    if (state != cudaErrorNotReady) CheckCuda(state, "cudaStreamQuery");
    error = AsyncError();
    if (error != ncclSuccess || steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(pause);
  }
}

void Session::Finish(const char* what) {
  ncclResult_t error;
  if (!TryFinish(watchdog_.limit(), error)) AbortAndExit(error, what);
}

ncclResult_t Session::TryIdle(std::chrono::duration<double> time) {
  const auto deadline = steady_clock::now() + time;
  while (steady_clock::now() < deadline) {
    if (ncclResult_t error = AsyncError(); error != ncclSuccess) return error;
    std::this_thread::sleep_for(std::min<std::chrono::duration<double>>(kIdlePause, deadline - steady_clock::now()));
  }
  return ncclSuccess;
}

void Session::Idle(std::chrono::duration<double> time) {
  if (ncclResult_t error = TryIdle(time); error != ncclSuccess) AbortAndExit(error, "idle communicator");
}

void Session::AbortAndExit(ncclResult_t error, const char* what) {
  const char* last = ncclGetLastError(comm_);
  if (error == ncclSuccess) {
    Complain("%s: not finished after %lld s, though NCCL reports no error", what,
             static_cast<long long>(watchdog_.limit().count()));
  } else {
    Complain("%s: asynchronous error %d (%s); last error: %s", what, error, ncclGetErrorString(error), last);
  }
  Abort();
  _exit(1);
}

void Session::Abort() {
  CheckNccl(Call("ncclCommAbort", [&] { return ncclCommAbort(comm_); }), "ncclCommAbort");
  comm_ = nullptr;
  Watchdog::Guard guard(watchdog_, "leaving the kernels after ncclCommAbort");
  CheckCuda(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
}

void Session::Close() {
  CheckNccl(Call("ncclCommFinalize", [&] { return ncclCommFinalize(comm_); }), "ncclCommFinalize");
  CheckNccl(Call("ncclCommDestroy", [&] { return ncclCommDestroy(comm_); }), "ncclCommDestroy");
  comm_ = nullptr;
  CheckCuda(cudaStreamDestroy(stream_), "cudaStreamDestroy");
}

}  // namespace perf
