// Breaks things in a running lab, and mends them.
#pragma once
#include <functional>
#include <vector>

#include "base/clock.h"
#include "lab/network.h"
#include "lab/schedule.h"

namespace relay::lab {

class FaultInjector {
 public:
  // `start_agent` starts one in a node, by its index.
  FaultInjector(const Plan& plan, const Network& network, std::function<Status(size_t)> start_agent);

  // Blocks for the few milliseconds that ip(8) and its like take; whichever has not ended by the
  // deadline, or in half a minute, is killed.
  Status Apply(const Fault& fault, TimePoint deadline);

 private:
  Status Change(const LinkChange& change, TimePoint deadline) const;

  const Plan& plan_;
  const Network& network_;
  const std::function<Status(size_t)> start_agent_;
  std::vector<std::vector<LinkState>> states_;  // as the fabric's nodes and their ports
};

}  // namespace relay::lab
