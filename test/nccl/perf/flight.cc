#include "perf/flight.h"

#include <algorithm>

namespace perf {
namespace {

constexpr std::string_view kNames[] = {"all_reduce", "all_gather", "reduce_scatter", "broadcast",
                                       "reduce",     "alltoall",   "sendrecv"};

// Sizes of every magnitude, few of them round.
size_t WildCount(size_t most, uint32_t seed) {
  uint32_t x = seed * 0x9e3779b1u + 0x7feb352du;
  x ^= x >> 15;
  x *= 0x85ebca6bu;
  x ^= x >> 13;
  const size_t limit = std::max<size_t>(most >> (x % 3 * 4), 1);
  return 1 + (x >> 4) % limit;
}

}  // namespace

void Flight::Start(Session& session, const Collective& collective, const Repetition& repetition) {
  const int root = static_cast<int>(repetition.seed % static_cast<uint32_t>(session.ranks()));
  auto exercise =
      std::make_unique<Exercise>(session, collective, root, repetition.count, session.job().options().register_buffers);
  const Exercise::Mode mode = exercise->ModeFor(repetition.count, false);
  exercise->Fill(repetition, mode);
  CheckNccl(session.Call("launching a collective", [&] { return exercise->Launch(repetition.count, mode); }),
            "launching a collective");
  entries_.push_back({session, std::move(exercise), repetition});
}

size_t Flight::Finish(const char* what) {
  size_t wrong = 0;
  for (Entry& entry : entries_) {
    entry.session.Finish(what);
    wrong += entry.exercise->CountWrong(entry.repetition, entry.exercise->ModeFor(entry.repetition.count, false));
  }
  entries_.clear();
  return wrong;
}

size_t TryEveryCollective(std::span<Session* const> sessions, size_t max_bytes, uint32_t seed) {
  Flight flight;
  for (std::string_view name : kNames) {
    // A communicator's collectives are the same on all its ranks, whatever other communicators they are in.
    seed += 10;
    for (size_t i = 0; i < sessions.size(); ++i) {
      Session& session = *sessions[i];
      const size_t most = max_bytes / sizeof(float) / static_cast<size_t>(session.ranks());
      const uint32_t own = seed + static_cast<uint32_t>(i);
      flight.Start(session, *FindCollective(name), {WildCount(most, own), own});
    }
  }
  return flight.Finish("collectives on several communicators");
}

size_t TryEveryCollective(Session& session, size_t max_bytes, uint32_t seed) {
  Session* const only[] = {&session};
  return TryEveryCollective(only, max_bytes, seed);
}

}  // namespace perf
