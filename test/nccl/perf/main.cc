// nccl_perf: one rank of a job that drives the real NCCL through a collective and verifies what arrives.
#include <unistd.h>

#include <cstdio>
#include <string_view>

#include "perf/collective.h"
#include "perf/options.h"
#include "perf/programs.h"

namespace perf {
namespace {

struct Program {
  std::string_view name;
  int (*run)(Job& job);
};

template <int (*run)(Session&, const Options&)>
int RunInSession(Job& job) {
  const Options& options = job.options();
  Session session(job);
  session.Init(job.NewId(), {.blocking = options.blocking});
  const int status = run(session, options);
  if (options.exit_after_last) {
    fflush(stdout);
    _exit(status);
  }
  if (session.comm()) session.Close();  // after an abort there is none left to close
  return status;
}

constexpr Program kPrograms[] = {{"types", RunInSession<RunTypes>},
                                 {"fault", RunInSession<RunFault>},
                                 {"split", RunSplit},
                                 {"many", RunMany},
                                 {"gpus", RunGpus},
                                 {"exchange", RunExchange},
                                 {"abort", RunAbort},
                                 {"shrink", RunShrink},
                                 {"absent", RunAbsent},
                                 {"abort_in_init", RunAbortInInit}};

int Run(const Options& options) {
  auto run = FindCollective(options.collective) ? RunInSession<RunBenchmark> : nullptr;
  for (const Program& program : kPrograms)
    if (program.name == options.collective) run = program.run;
  if (run == nullptr) {
    fprintf(stderr, "nccl_perf: there is no collective %s; --help lists them\n", options.collective.c_str());
    return 2;
  }
  const Environment environment = ReadEnvironment();
  if (options.root >= environment.ranks) {
    fprintf(stderr, "nccl_perf: -r %d: there are %d ranks\n", options.root, environment.ranks);
    return 2;
  }
  SetFailureRank(environment.rank);
  Job job(environment, options);
  int status = 0;
  for (int i = 0; i < options.communicators && status == 0; i++) status = run(job);
  return status;
}

}  // namespace
}  // namespace perf

int main(int argc, char** argv) { return perf::Run(perf::ParseOptions(argc, argv)); }
