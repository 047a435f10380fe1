// This process's part in a job: its place among the processes, where they meet, and deadlines for calls that may block.
// Used by the main thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>

#include "perf/failure.h"
#include "perf/options.h"
#include "perf/rendezvous.h"
#include "perf/watchdog.h"

namespace perf {

class Job {
 public:
  Job(const Environment& environment, const Options& options)
      : environment_(environment),
        options_(options),
        watchdog_(std::chrono::seconds(options.timeout)),
        rendezvous_(environment, std::chrono::seconds(options.timeout)) {}

  const Environment& environment() const { return environment_; }
  const Options& options() const { return options_; }
  Rendezvous& rendezvous() { return rendezvous_; }
  Watchdog& watchdog() { return watchdog_; }
  std::chrono::seconds limit() const { return watchdog_.limit(); }

  // Runs a call of NCCL's that may block, under the deadline.
  ncclResult_t Call(const char* what, const std::function<ncclResult_t()>& call);

  // Rank 0's, for a communicator of all processes, who all ask at the same point.
  ncclUniqueId NewId();

  // Adds up wrong elements over the ranks; rank 0 prints what `program` came to. The exit status, the same on every
  // rank.
  int Verdict(const char* program, size_t own_wrong);

 private:
  const Environment environment_;
  const Options& options_;
  Watchdog watchdog_;
  Rendezvous rendezvous_;
};

}  // namespace perf
