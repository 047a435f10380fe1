// What nccl_perf can run. Each returns the exit status of this rank.
#pragma once

#include "perf/job.h"
#include "perf/options.h"
#include "perf/session.h"

namespace perf {

// Over one communicator of all processes, which the caller makes and closes.
int RunBenchmark(Session& session, const Options& options);  // the collectives, timed and verified
int RunTypes(Session& session, const Options& options);      // every element type with every operator
int RunFault(Session& session, const Options& options);      // until an error is reported; it aborts by itself

// These make their communicators.
int RunSplit(Job& job);        // and parts of it
int RunMany(Job& job);         // several at once
int RunGpus(Job& job);         // several GPUs per process
int RunExchange(Job& job);     // sends and receives between all pairs
int RunAbort(Job& job);        // aborted in the middle of traffic, then a new one
int RunShrink(Job& job);       // one rank stays away, the others go on without it; then a new one
int RunAbsent(Job& job);       // aborted while one rank stays away, then a new one
int RunAbortInInit(Job& job);  // aborted while it is made, then a new one

}  // namespace perf
