#include "lab/faults.h"

#include <fmt/format.h>
#include <net/if.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "lab/process.h"

namespace relay::lab {
namespace {

constexpr char kAgentName[] = "nccl-relay";  // as /proc/PID/comm shows an agent, whatever file it runs from

Status SetDown(const std::string& interface) {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  interface.copy(request.ifr_name, sizeof request.ifr_name - 1);
  if (!socket || ::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) return FailErrno(ErrorCode::kSystem, interface);
  request.ifr_flags = static_cast<short>(request.ifr_flags & ~IFF_UP);
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return FailErrno(ErrorCode::kSystem, interface + " down");
  return {};
}

Status CutEnd(const std::string& interface, const NodeSpace& space) {
  Status down;
  RELAY_TRY(InNetwork(space, [&] { down = SetDown(interface); }));
  return down;
}

// What leaves either end is swallowed; both ends stay up and see no error.
Status DropEnd(const std::string& interface, const NodeSpace& space, const std::string& tc) {
  Result<Helper> helper = Helper::Start({tc, "qdisc", "replace", "dev", interface, "root", "blackhole"}, "",
                                        [&] { return Enter(space, "/"); });
  if (!helper) return tl::unexpected<Error>(helper.error());
  return helper->Wait(std::chrono::seconds(10));
}

Status ForBothEnds(const Fault& fault, const Plan& plan, const Network& network) {
  for (size_t index : fault.links) {
    const fabric::Link& link = plan.fabric.links[index];
    for (const fabric::LinkEnd& end : {link.a, link.b}) {
      const std::string& interface = fabric::PortAt(plan.fabric, end).name;
      const NodeSpace& space = network.nodes[end.node];
      RELAY_TRY(fault.kind == FaultKind::kCut ? CutEnd(interface, space) : DropEnd(interface, space, network.tc));
    }
  }
  return {};
}

bool LivesIn(const std::string& process, ino_t network_inode) {
  struct stat facts {};
  return ::stat((process + "/ns/net").c_str(), &facts) == 0 && facts.st_ino == network_inode;
}

size_t KillOnce(const NodeSpace& space, bool agents_only) {
  size_t killed = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string process = entry.path();
    const auto pid = static_cast<pid_t>(std::atol(entry.path().filename().c_str()));
    if (pid <= 1 || !LivesIn(process, space.network_inode)) continue;
    if (agents_only && ReadFile(process + "/comm") != std::string(kAgentName) + "\n") continue;
    // A zombie still shows in /proc, but its namespaces do not.
    killed += ::kill(pid, SIGKILL) == 0;
  }
  return killed;
}

Status KillIn(const NodeSpace& space, bool agents_only) {
  // A process may fork while the list is read.
  constexpr int kRounds = 10;
  for (int round = 0; round < kRounds && KillOnce(space, agents_only) > 0; ++round) {
  }
  return {};
}

}  // namespace

Status ApplyFault(const Fault& fault, const Plan& plan, const Network& network) {
  switch (fault.kind) {
    case FaultKind::kCut:
    case FaultKind::kDrop:
      return ForBothEnds(fault, plan, network);
    case FaultKind::kKill:
    case FaultKind::kKillAgent:
      return KillIn(network.nodes[fault.node], fault.kind == FaultKind::kKillAgent);
  }
  return {};
}

}  // namespace relay::lab
