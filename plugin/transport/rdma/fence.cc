#include "transport/rdma/fence.h"

#include <unistd.h>

#include <array>

namespace relay::transport::rdma {
namespace {

// A device that lives flushes in microseconds, soft-RoCE on a busy host in milliseconds.
constexpr Duration kLongest = std::chrono::milliseconds(900);
constexpr useconds_t kBetweenLooks = 50;

// The first error stays.
void Keep(Status& first, Status next) {
  if (first && !next) first = std::move(next);
}

}  // namespace

Status FenceAll(std::span<QueuePair* const> queue_pairs, const TakeCompletion& take) {
  const SystemClock clock;
  const TimePoint deadline = clock.Now() + kLongest;
  for (QueuePair* queue_pair : queue_pairs) queue_pair->Stop();
  Status out;
  std::array<Completion, 16> completions;
  for (size_t i = 0; i < queue_pairs.size(); ++i) {
    while (true) {
      // Asked first: what came before the last receive did is there then.
      const bool last = queue_pairs[i]->drained() || clock.Now() >= deadline;
      const size_t count = queue_pairs[i]->Drain(completions);
      for (size_t j = 0; j < count && out; ++j) Keep(out, take(i, completions[j]));
      if (count != 0) continue;
      if (last) break;
      usleep(kBetweenLooks);
    }
  }
  for (QueuePair* queue_pair : queue_pairs) Keep(out, queue_pair->Destroy());
  return out;
}

}  // namespace relay::transport::rdma
