// ncclCommAbort at bad moments. The process goes on with another communicator, and that one gives right results.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <vector>

#include "perf/flight.h"
#include "perf/programs.h"

namespace perf {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

constexpr int kInFlight = 4;
constexpr double kSilence = 1.2;      // seconds after which a rank that is told nothing gives up
constexpr double kAwayAtLeast = 0.5;  // seconds that a rank stays away

double Seconds() { return duration<double>(steady_clock::now().time_since_epoch()).count(); }

// A communicator of all, made after an abort.
size_t TryAnew(Job& job, uint32_t seed) {
  job.rendezvous().Barrier();
  Session session(job);
  session.Init(job.NewId(), {.blocking = job.options().blocking});
  const size_t wrong = TryEveryCollective(session, job.options().max_bytes, seed);
  session.Close();
  return wrong;
}

// How one rank's communicator ended. Times are those of the one machine that all ranks run on.
struct End {
  ncclResult_t error;  // ncclSuccess: this rank aborted of its own accord
  double at;
  double abort_seconds;
  int operations;  // done before
};

// Collectives back to back, until NCCL reports an error or, on the rank that is to abort, until `enough` time has
// passed and the stream is busy.
End RunUntilTold(Session& session, Exercise& exercise, size_t count, double enough) {
  const Exercise::Mode mode = exercise.ModeFor(count, false);
  const double start = Seconds(), limit = start + static_cast<double>(session.job().limit().count());
  const bool leaves = session.rank() == session.job().options().root;
  End end{ncclSuccess, 0, 0, 0};
  while (end.error == ncclSuccess && Seconds() < limit) {
    for (int i = 0; i < kInFlight && end.error == ncclSuccess; i++)
      end.error = session.Call("launching a collective", [&] { return exercise.Launch(count, mode); });
    if (end.error != ncclSuccess) break;
    const bool busy = end.operations > 0 && cudaStreamQuery(session.stream()) == cudaErrorNotReady;
    if (leaves && busy && Seconds() >= start + enough) break;
    if (session.TryFinish(duration<double>(limit - Seconds()), end.error)) end.operations += kInFlight;
  }
  end.at = Seconds();
  if (leaves != (end.error == ncclSuccess))
    Fail("%s", leaves ? "an error before any rank had aborted" : "no error, though another rank has aborted");
  return end;
}

// Traffic from buffers that are freed right after the abort.
End TrafficAndAbort(Session& session) {
  const Options& options = session.job().options();
  const size_t count = std::max<size_t>(options.max_bytes / sizeof(float), 1);
  Exercise exercise(session, *FindCollective("all_reduce"), 0, count);
  exercise.Fill({count, 1}, exercise.ModeFor(count, false));
  End end = RunUntilTold(session, exercise, count, options.hold);
  session.Abort();
  end.abort_seconds = Seconds() - end.at;
  return end;
}

void Print(Job& job, const std::vector<End>& ends) {
  const End& leaver = ends[static_cast<size_t>(job.options().root)];
  double slowest = 0, longest = 0;
  for (const End& end : ends) {
    slowest = std::max(slowest, end.at - leaver.at);
    longest = std::max(longest, end.abort_seconds);
  }
  printf("# abort: rank %d left after %d operations, the others were told within %.3f s, aborting took up to %.3f s\n",
         job.options().root, leaver.operations, slowest, longest);
  fflush(stdout);
}

// Whoever aborts first is the absence of another for those that still wait.
void AllHaveWaited(Job& job) { job.rendezvous().Barrier(); }

// The others wait for rank ROOT in NCCL's bootstrap.
void AbortWithoutInit(Job& job) {
  const Options& options = job.options();
  const ncclUniqueId id = job.NewId();
  Session session(job);
  if (job.environment().rank != options.root) {
    session.BeginInit(id);
    ncclResult_t state = session.Settle(duration<double>(std::max(kAwayAtLeast, options.hold)));
    if (state != ncclInProgress) Fail("without rank %d, init came to %s", options.root, ncclGetErrorString(state));
  }
  AllHaveWaited(job);
  if (session.comm()) session.Abort();
}

// The others wait for rank ROOT in a collective: where connections are made when they are first wanted, in the plugin's
// connect and accept.
void AbortWithoutCollective(Job& job) {
  const Options& options = job.options();
  Session session(job);
  session.Init(job.NewId(), {.blocking = false});
  std::optional<Exercise> exercise;  // its buffers outlive the abort
  if (session.rank() != options.root) {
    constexpr size_t kCount = 1 << 16;
    exercise.emplace(session, *FindCollective("all_reduce"), 0, kCount);
    const duration<double> patience(std::max(kAwayAtLeast, options.hold));
    ncclResult_t state = job.Call("ncclAllReduce that does not block",
                                  [&] { return exercise->Launch(kCount, exercise->ModeFor(kCount, false)); });
    if (state == ncclInProgress) state = session.Settle(patience);
    const bool launched = state == ncclSuccess;
    if (launched && session.TryFinish(patience, state)) Fail("all-reduce without rank %d came to an end", options.root);
    if (state != (launched ? ncclSuccess : ncclInProgress))
      Fail("without rank %d, an all-reduce came to %s", options.root, ncclGetErrorString(state));
    printf("# absent: rank %d aborts %s\n", session.rank(),
           launched ? "while its kernel waits" : "while it waits for connections");
    fflush(stdout);
  }
  AllHaveWaited(job);
  session.Abort();
}

// Those that wait for rank ROOT in a collective give up on it, and go on with the communicator of those that are left.
size_t ShrinkInCollective(Session& session, Session& rest, uint32_t seed) {
  constexpr size_t kCount = 1 << 16;
  Exercise exercise(session, *FindCollective("all_reduce"), 0, kCount);
  CheckNccl(session.Call("ncclAllReduce", [&] { return exercise.Launch(kCount, exercise.ModeFor(kCount, false)); }),
            "ncclAllReduce");
  ncclResult_t error;
  if (session.TryFinish(duration<double>(kAwayAtLeast), error) || error != ncclSuccess)
    Fail("an all-reduce without rank %d came to an end", session.job().options().root);
  auto* const shrink = CallNamed<decltype(ncclCommShrink)>("ncclCommShrink");
  int gone = session.job().options().root;
  ncclComm_t comm = nullptr;
  CheckNccl(session.Call("ncclCommShrink",
                         [&] { return shrink(session.comm(), &gone, 1, &comm, nullptr, NCCL_SHRINK_ABORT); }),
            "ncclCommShrink");
  rest.Adopt(comm);
  return TryEveryCollective(rest, session.job().options().max_bytes, seed);
}

}  // namespace

int RunAbort(Job& job) {
  {
    Session session(job);
    session.Init(job.NewId(), {.blocking = job.options().blocking});
    End end = TrafficAndAbort(session);
    auto ends = job.rendezvous().Gather(end);
    if (session.rank() == 0) Print(job, ends);
  }
  return job.Verdict("abort", TryAnew(job, 2));
}

int RunShrink(Job& job) {
  size_t wrong = 0;
  {
    Session session(job), rest(job);
    session.Init(job.NewId(), {.blocking = job.options().blocking});
    wrong = TryEveryCollective(session, job.options().max_bytes, 1);
    if (session.rank() != job.options().root) {
      wrong += ShrinkInCollective(session, rest, 2);
      rest.Close();
    }
    job.rendezvous().Barrier();
    session.Abort();
  }
  return job.Verdict("shrink", wrong + TryAnew(job, 3));
}

int RunAbsent(Job& job) {
  AbortWithoutInit(job);
  AbortWithoutCollective(job);
  return job.Verdict("absent", TryAnew(job, 1));
}

// Rank ROOT aborts a while after it began; the others when they are told, or after a time of hearing nothing: NCCL's
// own bootstrap does not tell everybody.
int RunAbortInInit(Job& job) {
  const Options& options = job.options();
  {
    Session session(job);
    const ncclUniqueId id = job.NewId();
    job.rendezvous().Barrier();
    session.BeginInit(id);
    const bool leaves = job.environment().rank == options.root;
    ncclResult_t state = session.Settle(duration<double>(leaves ? options.hold : options.hold + kSilence));
    const double start = Seconds();
    session.Abort();
    printf("# abort_in_init: rank %d, in state %s, aborted within %.3f s\n", job.environment().rank,
           state == ncclInProgress ? "in progress" : ncclGetErrorString(state), Seconds() - start);
    fflush(stdout);
  }
  return job.Verdict("abort_in_init", TryAnew(job, 1));
}

}  // namespace perf
