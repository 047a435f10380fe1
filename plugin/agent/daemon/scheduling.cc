#include "agent/daemon/scheduling.h"

#include <sched.h>

namespace relay::agent {

bool RunUrgently() {
  sched_param lowest{.sched_priority = sched_get_priority_min(SCHED_RR)};
  // What it starts runs normally again.
  return sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) == 0;
}

}  // namespace relay::agent
