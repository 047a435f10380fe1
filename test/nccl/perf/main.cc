// nccl_perf: one rank of a job that drives the real NCCL through a collective and verifies what arrives.
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "perf/options.h"
#include "perf/programs.h"
#include "perf/session.h"

static int RunOnce(const perf::Options& options, const perf::Environment& environment) {
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

int main(int argc, char** argv) {
  const perf::Options options = perf::ParseOptions(argc, argv);
  const perf::Environment environment = perf::ReadEnvironment();
  perf::SetFailureRank(environment.rank);
  int status = 0;
  for (int i = 0; i < options.communicators && status == 0; i++) status = RunOnce(options, environment);
  return status;
}
