// What "nccl-relay perf" does with a communicator.
#pragma once
#include <string>

#include "perf/communicator.h"

namespace relay::perf {

// Every size: timed, verified, one row each. False: some result was wrong.
Result<bool> RunBenchmark(const CommunicatorFacts& facts, const std::string& plugin_file);

// Runs for so many seconds over all sizes again and again: fresh data, one repetition, every result verified; each in a
// communicator of its own if wanted. False: some result was wrong.
Result<bool> RunForSeconds(const CommunicatorFacts& facts, const std::string& plugin_file);

// Rounds of: a communicator that is torn down with requests in flight, then one that must work.
Result<bool> RunTeardown(const CommunicatorFacts& facts);

}  // namespace relay::perf
