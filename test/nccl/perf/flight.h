// Collectives in flight at the same time, on one communicator or on several, each verified when all have landed.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "perf/exercise.h"

namespace perf {

class Flight {
 public:
  // Fills and launches it, out of place, with a root that depends on the seed. May be called inside a group.
  void Start(Session& session, const Collective& collective, const Repetition& repetition);
  // Waits for all of them. Returns the number of wrong elements, with a complaint about the first of each.
  size_t Finish(const char* what);

 private:
  struct Entry {
    Session& session;
    std::unique_ptr<Exercise> exercise;
    Repetition repetition;
  };
  std::vector<Entry> entries_;
};

// Each collective on each of the sessions, all in flight at once: a wild order of sizes up to `max_bytes`, the same on
// every rank. Returns the number of wrong elements.
size_t TryEveryCollective(std::span<Session* const> sessions, size_t max_bytes, uint32_t seed);
size_t TryEveryCollective(Session& session, size_t max_bytes, uint32_t seed);

}  // namespace perf
