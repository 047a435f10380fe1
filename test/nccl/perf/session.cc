#include "perf/session.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

namespace perf {
namespace {

using std::chrono::duration;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Polling starts fine enough to time small operations and gets coarser, because the ranks share few cores.
constexpr microseconds kShortestPause(20), kLongestPause(200);
constexpr milliseconds kIdlePause(10);

int OwnDevice(const Environment& environment) {
  int devices = 0;
  CheckCuda(cudaGetDeviceCount(&devices), "cudaGetDeviceCount");
  return environment.local_rank % devices;
}

}  // namespace

Session::Session(Job& job, std::optional<int> device)
    : job_(job), device_(device.value_or(OwnDevice(job.environment()))) {
  UseDevice();
  CheckCuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
}

void Session::UseDevice() const { CheckCuda(cudaSetDevice(device_), "cudaSetDevice"); }

void Session::Init(const ncclUniqueId& id, const Config& config) {
  if (config.blocking) {
    const Environment& place = job_.environment();
    CheckNccl(Call("ncclCommInitRank",
                   [&] { return ncclCommInitRank(&comm_, place.ranks, id, config.rank.value_or(place.rank)); }),
              "ncclCommInitRank");
  } else {
    BeginInit(id, config.rank);
    CheckNccl(Settle(job_.limit()), "ncclCommInitRankConfig that does not block");
  }
  Adopt(comm_);
}

void Session::BeginInit(const ncclUniqueId& id, std::optional<int> rank) {
  const Environment& place = job_.environment();
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  UseDevice();
  ncclResult_t result = job_.Call("ncclCommInitRankConfig that does not block", [&] {
    return ncclCommInitRankConfig(&comm_, place.ranks, id, rank.value_or(place.rank), &config);
  });
  if (result != ncclInProgress) CheckNccl(result, "ncclCommInitRankConfig that does not block");
}

void Session::Adopt(ncclComm_t comm) {
  comm_ = comm;
  CheckNccl(ncclCommUserRank(comm_, &rank_), "ncclCommUserRank");
  CheckNccl(ncclCommCount(comm_, &ranks_), "ncclCommCount");
}

ncclResult_t Session::Call(const char* what, const std::function<ncclResult_t()>& call) {
  UseDevice();
  ncclResult_t result = job_.Call(what, call);
  return result == ncclInProgress ? Settle(job_.limit()) : result;
}

ncclResult_t Session::AsyncError() const {
  ncclResult_t error = ncclSuccess;
  ncclResult_t asked = ncclCommGetAsyncError(comm_, &error);
  return asked != ncclSuccess ? asked : error;
}

ncclResult_t Session::Settle(duration<double> limit) {
  const auto deadline = steady_clock::now() + limit;
  for (microseconds pause = kShortestPause;; pause = std::min(2 * pause, kLongestPause)) {
    ncclResult_t result = AsyncError();
    if (result != ncclInProgress || steady_clock::now() >= deadline) return result;
    std::this_thread::sleep_for(pause);
  }
}

bool Session::TryFinish(duration<double> limit, ncclResult_t& error) {
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
  if (!TryFinish(job_.limit(), error)) AbortAndExit(error, what);
}

ncclResult_t Session::TryIdle(duration<double> time) {
  const auto deadline = steady_clock::now() + time;
  while (steady_clock::now() < deadline) {
    if (ncclResult_t error = AsyncError(); error != ncclSuccess) return error;
    std::this_thread::sleep_for(std::min<duration<double>>(kIdlePause, deadline - steady_clock::now()));
  }
  return ncclSuccess;
}

void Session::Idle(duration<double> time) {
  if (ncclResult_t error = TryIdle(time); error != ncclSuccess) AbortAndExit(error, "idle communicator");
}

void Session::AbortAndExit(ncclResult_t error, const char* what) {
  const char* last = ncclGetLastError(comm_);
  if (error == ncclSuccess) {
    Complain("%s: not finished after %lld s, though NCCL reports no error", what,
             static_cast<long long>(job_.limit().count()));
  } else {
    Complain("%s: asynchronous error %d (%s); last error: %s", what, error, ncclGetErrorString(error), last);
  }
  Abort();
  _exit(1);
}

void Session::Abort() {
  UseDevice();
  CheckNccl(job_.Call("ncclCommAbort", [&] { return ncclCommAbort(comm_); }), "ncclCommAbort");
  comm_ = nullptr;
  Watchdog::Guard guard(job_.watchdog(), "leaving the kernels after ncclCommAbort");
  CheckCuda(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
}

void Session::FinalizeComm() {
  CheckNccl(Call("ncclCommFinalize", [&] { return ncclCommFinalize(comm_); }), "ncclCommFinalize");
}

void Session::DestroyComm() {
  UseDevice();
  CheckNccl(job_.Call("ncclCommDestroy", [&] { return ncclCommDestroy(comm_); }), "ncclCommDestroy");
  comm_ = nullptr;
}

void Session::Close() {
  FinalizeComm();
  DestroyComm();
  CheckCuda(cudaStreamDestroy(stream_), "cudaStreamDestroy");
}

}  // namespace perf
