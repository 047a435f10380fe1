// "nccl-relay lab run": a lab that lives as long as its ranks.
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/random.h"
#include "lab/box.h"
#include "lab/commands.h"
#include "lab/counters.h"
#include "lab/faults.h"
#include "lab/lab.h"
#include "lab/process.h"
#include "lab/supervisor.h"

namespace relay::lab {
namespace {

constexpr std::chrono::seconds kFarewell{2};  // for what a rank left in its node

Duration ToDuration(double seconds) { return std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9)); }

Status StartRanks(Supervisor& supervisor, const RunOptions& options, const Lab& lab, const OpenLab& open) {
  const size_t per_node = options.ranks_per_node;
  for (size_t i = 0; i < lab.rank_nodes.size() * per_node; ++i) {
    const size_t node = lab.rank_nodes[i / per_node], local = i % per_node;
    Environment environment = NodeEnvironment(lab, node);
    DescribeRank(environment, {i, lab.rank_nodes.size() * per_node, local, per_node});
    for (const std::string& assignment : options.lab.env) environment.Apply(assignment);
    const std::string& name = lab.plan.nodes[node].name;
    const std::string label = per_node > 1 ? fmt::format("{}.{}| ", name, local) : name + "| ";
    RELAY_TRY(supervisor.Start(
        {i, name, label, &open.network.nodes[node], lab.working_directory, options.command, environment.list()}));
  }
  return {};
}

// What has come of each fault, in order.
class FaultLog {
 public:
  // `timeout`: the run's. No fault holds the run's end up.
  FaultLog(Supervisor& supervisor, FaultInjector& injector, const std::vector<Fault>& faults, Duration timeout)
      : faults_(faults) {
    const TimePoint deadline = SystemClock().Now() + timeout;
    for (const Fault& fault : faults) {
      supervisor.After(fault.after, [this, &fault, &injector, deadline] {
        ++came_;
        const Status done = injector.Apply(fault, deadline);
        WriteOut(STDERR_FILENO, fmt::format("lab: {}{}\n", fault.text, done ? "" : " failed: " + done.error().what));
      });
    }
  }

  void SayWhatDidNotCome() const {
    for (size_t i = came_; i < faults_.size(); ++i) {
      WriteOut(STDERR_FILENO, fmt::format("lab: {} did not come: the run was over\n", faults_[i].text));
    }
  }

 private:
  const std::vector<Fault>& faults_;  // in the order of their times
  size_t came_ = 0;
};

Status ReportCounters(const RunOptions& options, const Lab& lab, const OpenLab& open) {
  if (!options.counters && options.counters_json.empty()) return {};
  std::vector<NodeCounters> counters;
  for (size_t i = 0; i < lab.plan.nodes.size(); ++i) {
    RELAY_TRY(InNetwork(open.network.nodes[i], [&] {
      counters.push_back(
          ParseCounters(lab.plan.nodes[i].name, ReadFile("/proc/self/net/dev"), ReadFile("/proc/self/net/snmp")));
    }));
  }
  if (options.counters) WriteOut(STDOUT_FILENO, CountersTable(counters));
  if (options.counters_json.empty()) return {};
  return WriteFile(options.counters_json, CountersJson(counters));
}

// Logs that nobody asked to keep go with the lab; after a failure they are worth a look.
void ShowAgentLogs(const Lab& lab) {
  if (!lab.options.log_dir.empty()) return;
  for (const NodeFacts& facts : lab.facts) {
    WriteOut(STDERR_FILENO, TailOfLog(facts.agent_log, facts.name + " agent| "));
  }
}

int Supervise(const RunOptions& options, const std::vector<Fault>& faults, const Lab& lab, const Inside& inside) {
  const Result<OpenLab> open = Open(lab, inside.outer_pid);
  if (!open) {
    EmptyBox(kFarewell);
    return Complain(open.error());
  }
  Supervisor supervisor({ToDuration(options.timeout), ToDuration(options.grace)}, inside.tie);
  for (const auto& [pid, node] : open->agents) supervisor.Expect(pid, "the agent of " + lab.plan.nodes[node].name);
  if (const Status started = StartRanks(supervisor, options, lab, *open); !started) {
    EmptyBox(kFarewell);
    return Complain(started.error());
  }
  FaultInjector injector(lab.plan, open->network, [&](size_t node) -> Status {
    const Result<pid_t> pid = StartAgent(AgentOf(lab, open->network, node));
    RELAY_TRY(pid);
    supervisor.Expect(*pid, "the agent of " + lab.plan.nodes[node].name);
    return {};
  });
  const FaultLog log(supervisor, injector, faults, ToDuration(options.timeout));
  int status = supervisor.Run();
  log.SayWhatDidNotCome();
  if (const Status reported = ReportCounters(options, lab, *open); !reported) {
    Complain(reported.error());
    if (status == 0) status = kLabFailed;
  }
  EmptyBox(kFarewell);
  if (status != 0) ShowAgentLogs(lab);
  return status;
}

// Hands on what the terminal or a parent asks for; the second time, ends the box at once.
int AwaitBox(const Box& box) {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  bool asked = false;
  while (true) {
    int status = 0;
    if (::waitpid(box.pid, &status, WNOHANG) == box.pid) {
      if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
      fmt::print(stderr, "lab: its first process was killed by signal {}\n", WTERMSIG(status));
      return ExitStatus(status);
    }
    const int signal = ::sigwaitinfo(&set, nullptr);
    if (signal > 0 && signal != SIGCHLD) ::kill(box.pid, std::exchange(asked, true) ? SIGKILL : SIGTERM);
  }
}

Status CheckOptions(const RunOptions& options) {
  if (options.command.empty()) return Fail(ErrorCode::kUsage, "no command: lab run TOPOLOGY -- COMMAND ARGS...");
  if (options.ranks_per_node < 1 || options.ranks_per_node > 256) {
    return Fail(ErrorCode::kUsage, "--ranks-per-node: 1 to 256");
  }
  constexpr double kLongest = 7 * 24 * 3600;
  if (!(options.timeout > 0) || options.timeout > kLongest || !(options.grace >= 0) || options.grace > kLongest) {
    return Fail(ErrorCode::kUsage, "--timeout and --grace are seconds, at most a week");
  }
  return {};
}

// What a fault needs is asked for before the ranks start.
Result<std::vector<Fault>> PlanFaults(const Plan& plan, const RunOptions& options) {
  Result<std::vector<Fault>> faults = ParseSchedule(plan, options);
  const auto loses = [](const Fault& fault) {
    return fault.kind == FaultKind::kLoss || fault.kind == FaultKind::kNarrow;
  };
  if (faults && std::any_of(faults->begin(), faults->end(), loses)) RELAY_TRY(FindProgram("nft", "nftables"));
  return faults;
}

}  // namespace

int Run(const RunOptions& options) {
  if (const Status fine = CheckOptions(options); !fine) return Complain(fine.error());
  const std::string name = fmt::format("run-{}-{:04x}", ::getpid(), RandomValue<uint16_t>());
  const Result<Lab> lab = Prepare(options.lab, {name, options.ranks});
  if (!lab) return Complain(lab.error());
  int status = kLabFailed;
  const Result<std::vector<Fault>> faults = PlanFaults(lab->plan, options);
  if (!faults) {
    status = Complain(faults.error());
  } else {
    BlockSignals();
    const Result<Box> box =
        MakeBox(true, [&](const Inside& inside) { return Supervise(options, *faults, *lab, inside); });
    status = box ? AwaitBox(*box) : Complain(box.error());
  }
  RemoveState(lab->state.path);
  return status;
}

}  // namespace relay::lab
