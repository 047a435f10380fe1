// What "nccl-relay perf" does with a communicator.
#pragma once
#include <string>

#include "perf/communicator.h"

namespace relay::perf {

// Every size: timed, verified, one row each. False: some result was wrong.
Result<bool> RunBenchmark(const CommunicatorFacts& facts, const std::string& plugin_file);

// Rounds of: a communicator that is torn down with requests in flight, then one that must work.
Result<bool> RunTeardown(const CommunicatorFacts& facts);

}  // namespace relay::perf
