#include "perf/job.h"

#include <cstdio>

namespace perf {

ncclResult_t Job::Call(const char* what, const std::function<ncclResult_t()>& call) {
  Watchdog::Guard guard(watchdog_, what);
  return call();
}

ncclUniqueId Job::NewId() {
  ncclUniqueId id{};
  if (environment_.rank == 0) CheckNccl(ncclGetUniqueId(&id), "ncclGetUniqueId");
  rendezvous_.Broadcast(&id, sizeof id);
  return id;
}

int Job::Verdict(const char* program, size_t own_wrong) {
  size_t wrong = 0;
  for (size_t count : rendezvous_.Gather(own_wrong)) wrong += count;
  rendezvous_.Broadcast(&wrong, sizeof wrong);
  if (environment_.rank == 0) {
    printf("# %s: %zu wrong elements over all ranks\n", program, wrong);
    fflush(stdout);
  }
  return wrong > 0;
}

}  // namespace perf
