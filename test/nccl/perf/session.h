// One rank's part in a job: its device, stream and communicator, and waiting for work in a way that notices errors of
// the network. Used by the main thread.
#pragma once

#include <functional>
#include <memory>

#include "perf/failure.h"
#include "perf/options.h"
#include "perf/rendezvous.h"
#include "perf/watchdog.h"

namespace perf {

class Session {
 public:
  Session(const Environment& environment, std::chrono::seconds limit);
  ~Session() = default;  // communicator and stream end with the process unless Close() is called

  const Environment& environment() const { return environment_; }
  Rendezvous& rendezvous() { return rendezvous_; }
  ncclComm_t comm() const { return comm_; }
  cudaStream_t stream() const { return stream_; }

  // Runs one of NCCL's calls that may block, under a deadline.
  ncclResult_t Call(const char* what, const std::function<ncclResult_t()>& call);

  // Waits until the stream is idle; meanwhile asks NCCL for asynchronous errors. On an error or after the time limit
  // prints a sentence, aborts the communicator (NCCL itself would wait for ever) and ends the process.
  void Finish(const char* what);

  // The same without failing: true when the stream is idle, false with `error` set, or with it ncclSuccess when `limit`
  // has passed.
  bool TryFinish(std::chrono::duration<double> limit, ncclResult_t& error);

  // Silence of that length, errors being noticed as above.
  void Idle(std::chrono::duration<double> time);
  ncclResult_t TryIdle(std::chrono::duration<double> time);

  void Abort();  // ncclCommAbort, then waits for the kernels to leave
  void Close();  // ncclCommFinalize and ncclCommDestroy

 private:
  ncclResult_t AsyncError() const;
  [[noreturn]] void AbortAndExit(ncclResult_t error, const char* what);

  const Environment environment_;
  Watchdog watchdog_;
  Rendezvous rendezvous_;
  cudaStream_t stream_ = nullptr;
  ncclComm_t comm_ = nullptr;
};

}  // namespace perf
