// Several communicators at once in one process, each with another order of the ranks, each on a stream of its own.
#include <deque>
#include <vector>

#include "perf/flight.h"
#include "perf/programs.h"

namespace perf {
namespace {

// The order of the ranks differs in direction and start, so that each communicator has another ring.
int RankIn(int communicator, const Environment& place) {
  const int turned = (place.rank + communicator) % place.ranks;
  return communicator % 2 ? place.ranks - 1 - turned : turned;
}

}  // namespace

int RunMany(Job& job) {
  const Options& options = job.options();
  std::deque<Session> sessions;
  std::vector<Session*> all;
  for (int i = 0; i < options.at_once; i++) {
    Session& session = sessions.emplace_back(job);
    session.Init(job.NewId(), {.rank = RankIn(i, job.environment()), .blocking = options.blocking});
    all.push_back(&session);
  }
  size_t wrong = 0;
  uint32_t seed = 0;
  for (int i = 0; i < options.iterations; i++) wrong += TryEveryCollective(all, options.max_bytes, seed += 1000);
  while (sessions.size() > 1) {
    sessions.front().Close();
    sessions.pop_front();
  }
  wrong += TryEveryCollective(sessions.front(), options.max_bytes, seed + 1000);  // it outlives the others
  sessions.front().Close();
  return job.Verdict("many", wrong);
}

}  // namespace perf
