// What nccl_perf can run over a session. Each returns the exit status of this rank.
#pragma once

#include "perf/options.h"
#include "perf/session.h"

namespace perf {

int RunBenchmark(Session& session, const Options& options);  // the collectives, timed and verified
int RunTypes(Session& session, const Options& options);      // every element type with every operator
int RunFault(Session& session, const Options& options);      // until an error is reported

}  // namespace perf
