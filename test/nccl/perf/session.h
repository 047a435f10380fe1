// One rank's part in a communicator: the device, a stream and the communicator, and waiting for work in a way that
// notices errors of the network. Used by the main thread.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "perf/job.h"

namespace perf {

// How a communicator is made.
struct Config {
  std::optional<int> rank = std::nullopt;  // absent: that of the process
  bool blocking = true;                    // else NCCL's calls return at once with ncclInProgress, and are asked after
};

class Session {
 public:
  // A stream on that GPU, without a number on the one that LOCAL_RANK picks, and no communicator yet.
  explicit Session(Job& job, std::optional<int> device = std::nullopt);
  Session(Session&&) = delete;

  // Makes one communicator of all processes, one rank each.
  void Init(const ncclUniqueId& id, const Config& config);
  // Begins one that does not block; Settle() says what came of it.
  void BeginInit(const ncclUniqueId& id, std::optional<int> rank = std::nullopt);
  // Takes over a communicator that was made otherwise, such as by ncclCommSplit.
  void Adopt(ncclComm_t comm);

  Job& job() { return job_; }
  int rank() const { return rank_; }
  int ranks() const { return ranks_; }
  ncclComm_t comm() const { return comm_; }
  cudaStream_t stream() const { return stream_; }
  void UseDevice() const;

  // Runs one of NCCL's calls that may block, under the job's deadline; waits for what it left in progress.
  ncclResult_t Call(const char* what, const std::function<ncclResult_t()>& call);
  ncclResult_t AsyncError() const;
  // What a call of a communicator that does not block came to; ncclInProgress when `limit` has passed.
  ncclResult_t Settle(std::chrono::duration<double> limit);

  // Waits until the stream is idle; meanwhile asks NCCL for asynchronous errors. On an error or after the time limit
  // prints a sentence, aborts the communicator (NCCL itself would wait for ever) and ends the process.
  void Finish(const char* what);

  // The same without failing: true when the stream is idle, false with `error` set, or with it ncclSuccess when `limit`
  // has passed.
  bool TryFinish(std::chrono::duration<double> limit, ncclResult_t& error);

  // Silence of that length, errors being noticed as above.
  void Idle(std::chrono::duration<double> time);
  ncclResult_t TryIdle(std::chrono::duration<double> time);

  void Abort();         // ncclCommAbort, then waits for the kernels to leave
  void FinalizeComm();  // waits until all its ranks have
  void DestroyComm();
  void Close();  // both, and the stream

 private:
  [[noreturn]] void AbortAndExit(ncclResult_t error, const char* what);

  Job& job_;
  const int device_;
  int rank_ = 0, ranks_ = 0;
  cudaStream_t stream_ = nullptr;  // with the communicator it ends with the process unless Close() is called
  ncclComm_t comm_ = nullptr;
};

}  // namespace perf
