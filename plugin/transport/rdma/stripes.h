// The queue pairs of a lane, one on each of the parallel links that it uses. With one it costs what that one costs.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "relay/lane.h"
#include "transport/rdma/queue_pair.h"

namespace relay::transport::rdma {

struct Stripe {
  std::shared_ptr<Device> device;
  std::unique_ptr<QueuePair> queue_pair;
};

// Not thread-safe.
class Stripes {
 public:
  Stripes() = default;
  // At least one, at most kMaxStripes.
  static Result<Stripes> Join(std::vector<Stripe> stripes);

  size_t size() const { return stripes_.size(); }
  QueuePair& operator[](size_t stripe) { return *stripes_[stripe].queue_pair; }
  Device& device(size_t stripe) const { return *stripes_[stripe].device; }

  // The first one's last: what the others have posted is there when its news arrives.
  Status Ring();
  // Readable when any of them has something to tell.
  int fd() const { return joined_ ? joined_.get() : stripes_.front().queue_pair->event_fd(); }
  Status Arm();
  void TakeEvents();

 private:
  std::vector<Stripe> stripes_;
  Fd joined_;  // an epoll of their completion channels; none where there is one
};

// The sentence of a parallel link that is left out, put behind those before it.
void AddMissing(std::string& missing, const std::string& why);

}  // namespace relay::transport::rdma
