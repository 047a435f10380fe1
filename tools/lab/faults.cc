#include "lab/faults.h"

#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "lab/process.h"

namespace relay::lab {
namespace {

constexpr char kAgentName[] = "nccl-relay";  // as /proc/PID/comm shows an agent, whatever file it runs from
// Ranks' output, signals and --grace wait meanwhile. A kernel in which many labs begin and end is busy for seconds.
constexpr std::chrono::seconds kHelperTime{30};

bool LivesIn(const std::string& process, ino_t network_inode) {
  struct stat facts {};
  return ::stat((process + "/ns/net").c_str(), &facts) == 0 && facts.st_ino == network_inode;
}

enum class Who { kAll, kAgents, kOthers };

struct Audience {
  const NodeSpace& space;
  Who who;

  bool Includes(const std::string& process) const {
    const bool agent = who != Who::kAll && ReadFile(process + "/comm") == std::string(kAgentName) + "\n";
    return who == Who::kAll || agent == (who == Who::kAgents);
  }
};

// Those who have had the signal are left alone. How many had not.
size_t SignalOnce(const Audience& audience, int signal, std::set<pid_t>& told) {
  size_t fresh = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string process = entry.path();
    const auto pid = static_cast<pid_t>(std::atol(entry.path().filename().c_str()));
    // A zombie still shows in /proc, but its namespaces do not.
    if (pid <= 1 || told.contains(pid) || !LivesIn(process, audience.space.network_inode)) continue;
    if (!audience.Includes(process)) continue;
    if (::kill(pid, signal) != 0) continue;
    told.insert(pid);
    ++fresh;
  }
  return fresh;
}

Status SignalAll(const Audience& audience, int signal) {
  // A process may fork while the list is read.
  constexpr int kRounds = 10;
  std::set<pid_t> told;
  for (int round = 0; round < kRounds && SignalOnce(audience, signal, told) > 0; ++round) {
  }
  return {};
}

int SignalOf(FaultKind kind) {
  switch (kind) {
    case FaultKind::kStop:
    case FaultKind::kStopAgent:
      return SIGSTOP;
    case FaultKind::kCont:
    case FaultKind::kContAgent:
      return SIGCONT;
    case FaultKind::kDrainAgent:
      return SIGTERM;
    default:
      return SIGKILL;
  }
}

Who AudienceOf(FaultKind kind) {
  switch (kind) {
    case FaultKind::kKill:
    case FaultKind::kStop:
    case FaultKind::kCont:
      return Who::kAll;
    case FaultKind::kKillRanks:
      return Who::kOthers;
    default:
      return Who::kAgents;
  }
}

}  // namespace

FaultInjector::FaultInjector(const Plan& plan, const Network& network, std::function<Status(size_t)> start_agent)
    : plan_(plan), network_(network), start_agent_(std::move(start_agent)) {
  for (size_t node = 0; node < plan.nodes.size(); ++node) {
    auto& ports = states_.emplace_back();
    for (size_t port = 0; port < plan.nodes[node].interfaces.size(); ++port) {
      ports.push_back(BuiltState(plan, {node, port}));
    }
  }
}

Status FaultInjector::Change(const LinkChange& change, TimePoint deadline) const {
  const auto run = [&](size_t node, const std::vector<std::string>& program, const std::string& batch) -> Status {
    if (batch.empty()) return {};
    Result<Helper> helper = Helper::Start(program, batch, [&] { return Enter(network_.nodes[node], "/"); });
    RELAY_TRY(helper);
    const Duration left = deadline - SystemClock().Now();
    return helper->Wait(std::clamp<Duration>(left, Duration::zero(), kHelperTime));
  };
  const size_t near = change.end.node, far = FarEnd(plan_.fabric, change.end).node;
  RELAY_TRY(run(near, {network_.tc, "-batch", "-"}, TcCommands(plan_, change)));
  if (const std::string batch = NftCommands(plan_, change); !batch.empty()) {
    const Result<std::string> nft = FindProgram("nft", "nftables");
    RELAY_TRY(nft);
    RELAY_TRY(run(far, {*nft, "-f", "-"}, batch));
  }
  return run(near, {network_.ip, "-batch", "-"}, IpCommands(plan_, change));
}

Status FaultInjector::Apply(const Fault& fault, TimePoint deadline) {
  if (fault.kind == FaultKind::kStartAgent) return start_agent_(fault.node);
  if (!IsLinkFault(fault.kind)) {
    return SignalAll({network_.nodes[fault.node], AudienceOf(fault.kind)}, SignalOf(fault.kind));
  }
  for (const fabric::LinkEnd& end : fault.place.senders) {
    LinkState& state = states_[end.node][end.port];
    const LinkState after = After(plan_, fault, end, state);
    RELAY_TRY(Change({end, state, after}, deadline));
    state = after;
  }
  return {};
}

}  // namespace relay::lab
