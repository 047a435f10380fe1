// Several GPUs per process: every GPU of every process is a rank of one communicator, all driven by one thread in
// groups.
#include <deque>
#include <vector>

#include "perf/flight.h"
#include "perf/programs.h"

namespace perf {
namespace {

void InitAll(Job& job, std::deque<Session>& sessions) {
  const int gpus = static_cast<int>(sessions.size());
  const ncclUniqueId id = job.NewId();
  std::vector<ncclComm_t> comms(sessions.size());
  auto init = [&] {
    CheckNccl(ncclGroupStart(), "ncclGroupStart");
    for (int i = 0; i < gpus; i++) {
      sessions[static_cast<size_t>(i)].UseDevice();
      CheckNccl(ncclCommInitRank(&comms[static_cast<size_t>(i)], job.environment().ranks * gpus, id,
                                 job.environment().rank * gpus + i),
                "ncclCommInitRank");
    }
    return ncclGroupEnd();
  };
  CheckNccl(job.Call("ncclCommInitRank of all GPUs", init), "ncclCommInitRank of all GPUs");
  for (size_t i = 0; i < comms.size(); i++) sessions[i].Adopt(comms[i]);
}

size_t TryCollective(Job& job, std::deque<Session>& sessions, const Collective& collective, Repetition repetition) {
  Flight flight;
  CheckNccl(ncclGroupStart(), "ncclGroupStart");
  for (Session& session : sessions) flight.Start(session, collective, repetition);
  CheckNccl(job.Call("launching on all GPUs", ncclGroupEnd), "launching on all GPUs");
  return flight.Finish("a collective of all GPUs");
}

template <class Call>
void InGroup(Job& job, std::deque<Session>& sessions, const char* what, Call call) {
  CheckNccl(ncclGroupStart(), "ncclGroupStart");
  for (Session& session : sessions) CheckNccl(call(session.comm()), what);
  CheckNccl(job.Call(what, ncclGroupEnd), what);
}

}  // namespace

int RunGpus(Job& job) {
  const Options& options = job.options();
  int gpus = 0;
  CheckCuda(cudaGetDeviceCount(&gpus), "cudaGetDeviceCount");
  std::deque<Session> sessions;
  for (int i = 0; i < gpus; i++) sessions.emplace_back(job, i);
  InitAll(job, sessions);
  size_t wrong = 0;
  uint32_t seed = 0;
  for (std::string_view name :
       {"all_reduce", "all_gather", "reduce_scatter", "broadcast", "reduce", "alltoall", "sendrecv"}) {
    for (size_t count = 1; count <= options.max_bytes / sizeof(float); count = count * 37 + 1)
      wrong += TryCollective(job, sessions, *FindCollective(name), {count, ++seed});
  }
  InGroup(job, sessions, "ncclCommFinalize", ncclCommFinalize);
  InGroup(job, sessions, "ncclCommDestroy", ncclCommDestroy);
  return job.Verdict("gpus", wrong);
}

}  // namespace perf
