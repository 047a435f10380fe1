// ncclCommSplit: a communicator and the part of it that has this rank's colour, used in turn and at the same time, with
// and without shared resources, destroyed in either order.
#include <cstdio>
#include <vector>

#include "perf/flight.h"
#include "perf/programs.h"

namespace perf {
namespace {

// What the job's colours make of it, ranks in reverse order.
ncclComm_t Split(Session& parent, bool share) {
  const std::vector<int>& colors = parent.job().options().colors;
  const int color = colors[static_cast<size_t>(parent.rank()) % colors.size()];
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.splitShare = share;
  ncclComm_t child = nullptr;
  CheckNccl(parent.Call("ncclCommSplit",
                        [&] { return ncclCommSplit(parent.comm(), color, -parent.rank(), &child, &config); }),
            "ncclCommSplit");
  if ((child == nullptr) != (color == NCCL_SPLIT_NOCOLOR))
    Fail("ncclCommSplit with color %d made %s communicator", color, child ? "a" : "no");
  return child;
}

size_t UseAndDestroy(Session& first, Session& second, size_t max_bytes, uint32_t seed) {
  first.FinalizeComm();
  first.DestroyComm();
  const size_t wrong = TryEveryCollective(second, max_bytes, seed);
  second.Close();
  return wrong;
}

size_t TrySplit(Job& job, bool share, bool parent_first, uint32_t seed) {
  const size_t max_bytes = job.options().max_bytes;
  const int turns = job.options().iterations;
  Session parent(job), child(job);
  parent.Init(job.NewId(), {.blocking = job.options().blocking});
  size_t wrong = TryEveryCollective(parent, max_bytes, seed);
  ncclComm_t comm = Split(parent, share);
  if (comm == nullptr) {
    // The parent's collectives are everybody's, those after the end of the child included.
    for (int i = 0; i < 2 * turns; i++) wrong += TryEveryCollective(parent, max_bytes, seed += 100);
    if (!parent_first) wrong += TryEveryCollective(parent, max_bytes, seed + 50);
    parent.Close();
    return wrong;
  }
  child.Adopt(comm);
  for (int i = 0; i < turns; i++) {
    wrong += TryEveryCollective(parent, max_bytes, seed += 100);
    wrong += TryEveryCollective(child, max_bytes, seed + 50);
  }
  Session* const both[] = {&parent, &child};
  for (int i = 0; i < turns; i++) wrong += TryEveryCollective(both, max_bytes, seed += 100);
  wrong += parent_first ? UseAndDestroy(parent, child, max_bytes, seed + 50)
                        : UseAndDestroy(child, parent, max_bytes, seed + 50);
  return wrong;
}

}  // namespace

int RunSplit(Job& job) {
  size_t wrong = 0;
  uint32_t seed = 0;
  for (bool share : {false, true}) {
    for (bool parent_first : {false, true}) {
      wrong += TrySplit(job, share, parent_first, seed += 10000);
      if (job.environment().rank == 0)
        printf("# split: resources %s, %s destroyed first\n", share ? "shared" : "not shared",
               parent_first ? "parent" : "child");
      fflush(stdout);
    }
  }
  return job.Verdict("split", wrong);
}

}  // namespace perf
