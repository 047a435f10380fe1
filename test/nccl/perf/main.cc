// nccl_perf: one rank of a job that drives the real NCCL through a collective and verifies what arrives.
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "perf/options.h"
#include "perf/programs.h"
#include "perf/session.h"

int main(int argc, char** argv) {
  const perf::Options options = perf::ParseOptions(argc, argv);
  const perf::Environment environment = perf::ReadEnvironment();
  perf::SetFailureRank(environment.rank);
  perf::Session session(environment, std::chrono::seconds(options.timeout));
  // After an abort there is no communicator left to close.
  if (options.collective == "fault") return perf::RunFault(session, options);
  const int status =
      options.collective == "types" ? perf::RunTypes(session, options) : perf::RunBenchmark(session, options);
  if (options.exit_after_last) {
    fflush(stdout);
    _exit(status);
  }
  session.Close();
  return status;
}
