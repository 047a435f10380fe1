// The fence of a receiving lane: what its queue pairs have done is known, and they do nothing more.
#pragma once
#include <cstddef>
#include <functional>
#include <span>

#include "transport/rdma/queue_pair.h"

namespace relay::transport::rdma {

// All are stopped, what each did well goes to `take` in its order, then each is destroyed: whatever comes of that, and
// within a second. Returns the first error of `take` or of a device that keeps one. Sleeps between its looks.
using TakeCompletion = std::function<Status(size_t which, const Completion& completion)>;
Status FenceAll(std::span<QueuePair* const> queue_pairs, const TakeCompletion& take);

}  // namespace relay::transport::rdma
