#include "lab/network.h"

#include <fmt/format.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "lab/process.h"

namespace relay::lab {
namespace {

constexpr std::chrono::seconds kWiringTime{60};  // for hundreds of links on a busy machine

// Starts one batch; `enter` puts it into a namespace.
Status StartBatch(std::vector<Helper>& started, const std::string& program, const std::string& batch,
                  const std::function<Status()>& enter) {
  if (batch.empty()) return {};
  Result<Helper> helper = Helper::Start({program, "-batch", "-"}, batch, enter);
  RELAY_TRY(helper);
  started.push_back(std::move(*helper));
  return {};
}

Status WaitAll(std::vector<Helper>& started) {
  Status first;
  for (Helper& helper : started) {
    const Status ended = helper.Wait(kWiringTime);
    if (!ended && first) first = ended;
  }
  started.clear();
  return first;
}

// What the user wants comes last and wins.
std::vector<std::string> KernelOf(const Plan& plan, std::span<const std::string> sysctls) {
  std::vector<std::string> settings{plan.control == Control::kRoutes ? "net.ipv4.ip_forward=1"
                                                                     : "net.ipv4.ip_forward=0"};
  settings.insert(settings.end(), sysctls.begin(), sysctls.end());
  return settings;
}

Status StayHere() { return {}; }

bool IsRunning(int socket, const std::string& interface) {
  ifreq request{};
  interface.copy(request.ifr_name, sizeof request.ifr_name - 1);
  return ::ioctl(socket, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_RUNNING) != 0;
}

bool AllRunning(const PlanNode& node, Control control) {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  for (const Interface& interface : node.interfaces) {
    if (!IsRunning(socket.get(), interface.name)) return false;
  }
  return control == Control::kNone || IsRunning(socket.get(), kControlInterface);
}

// The kernel notices the carrier of a fresh cable a moment later and drops packets until then.
Status AwaitCarriers(const Plan& plan, const Network& network) {
  const SystemClock clock;
  const TimePoint deadline = clock.Now() + std::chrono::seconds(10);
  const Fd hub(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    bool running = false;
    while (true) {
      RELAY_TRY(InNetwork(network.nodes[i], [&] { running = AllRunning(plan.nodes[i], plan.control); }));
      // A bridge forwards nothing from a port before that.
      const bool switched = plan.control == Control::kNone || IsRunning(hub.get(), HubPort(i));
      if (running && switched) break;
      if (clock.Now() > deadline) {
        return Fail(ErrorCode::kSystem, fmt::format("an interface of {} did not come up", plan.nodes[i].name));
      }
      ::usleep(500);
    }
  }
  return {};
}

}  // namespace

Result<Network> BuildNetwork(const Plan& plan, std::span<const std::string> sysctls) {
  const Result<std::string> ip = FindProgram("ip");
  RELAY_TRY(ip);
  const Result<std::string> tc = FindProgram("tc");
  RELAY_TRY(tc);
  Network network{{}, *ip, *tc};
  std::vector<std::string> paths;
  for (const PlanNode& node : plan.nodes) {
    Result<NodeSpace> space = MakeNodeSpace(node.name, KernelOf(plan, sysctls));
    RELAY_TRY(space);
    paths.push_back(fmt::format("/proc/{}/fd/{}", ::getpid(), space->network.get()));
    network.nodes.push_back(std::move(*space));
  }
  if (plan.control == Control::kGateway) RELAY_TRY(WriteFile("/proc/sys/net/ipv4/ip_forward", "1"));
  std::vector<Helper> started;
  RELAY_TRY(StartBatch(started, *ip, HubLinks(plan, paths), StayHere));
  RELAY_TRY(WaitAll(started));
  Status status;
  for (size_t i = 0; i < plan.nodes.size() && status; ++i) {
    const auto enter = [&space = network.nodes[i]] { return Enter(space, "/"); };
    status = StartBatch(started, *ip, NodeLinks(plan, i), enter);
    if (status) status = StartBatch(started, *tc, NodeQueues(plan, i), enter);
  }
  if (status) status = StartBatch(started, *tc, HubQueues(plan), StayHere);
  const Status ended = WaitAll(started);
  RELAY_TRY(status);
  RELAY_TRY(ended);
  RELAY_TRY(AwaitCarriers(plan, network));
  return network;
}

}  // namespace relay::lab
