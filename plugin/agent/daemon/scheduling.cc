#include "agent/daemon/scheduling.h"

#include <sched.h>
#include <sys/resource.h>

#include <memory>

namespace relay::agent {
namespace {

// More CPUs than any kernel is built for; it takes those that exist and that the cpuset allows.
constexpr size_t kMostCpus = 16384;

bool RunAnywhere() {
  const size_t bytes = CPU_ALLOC_SIZE(kMostCpus);
  const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> all(CPU_ALLOC(kMostCpus),
                                                             [](cpu_set_t* set) { CPU_FREE(set); });
  if (!all) return false;
  CPU_ZERO_S(bytes, all.get());
  for (size_t cpu = 0; cpu < kMostCpus; ++cpu) CPU_SET_S(cpu, bytes, all.get());
  return sched_setaffinity(0, bytes, all.get()) == 0;
}

// As high as it may be: the hard limit, and beyond it with the right to (CAP_SYS_RESOURCE). What is left of it.
rlim_t Raise(__rlimit_resource resource) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0) return RLIM_INFINITY;
  const rlimit none{RLIM_INFINITY, RLIM_INFINITY}, hard{limit.rlim_max, limit.rlim_max};
  if (setrlimit(resource, &none) == 0) return RLIM_INFINITY;
  setrlimit(resource, &hard);
  return hard.rlim_cur;
}

}  // namespace

std::string ShedTheStartersBounds() {
  std::string left;
  const auto keep = [&](const std::string& what) { left += (left.empty() ? "" : ", ") + what; };
  if (!RunAnywhere()) keep("the cores of the process that started it");
  if (setpriority(PRIO_PROCESS, 0, 0) != 0) keep("the niceness of the process that started it");
  if (const rlim_t seconds = Raise(RLIMIT_CPU); seconds != RLIM_INFINITY) {
    keep("a limit of " + std::to_string(seconds) + " s of CPU time, after which the kernel ends it");
  }
  (void)Raise(RLIMIT_FSIZE);  // its log may end there; its work does not
  return left;
}

bool RunUrgently() {
  sched_param lowest{.sched_priority = sched_get_priority_min(SCHED_RR)};
  // What it starts runs normally again.
  return sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) == 0;
}

}  // namespace relay::agent
