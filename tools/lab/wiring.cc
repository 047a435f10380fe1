#include "lab/wiring.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "fabric/link_facts.h"

namespace relay::lab {
namespace {

constexpr uint32_t kControlMbit = 100;
constexpr uint32_t kControlMtu = 1500;
constexpr char kBridge[] = "hub";

// Bursts of a quarter of a millisecond's worth would do for the rate; a few large segments must fit whole, or the
// kernel cuts them up. Twenty milliseconds of queue keep one TCP stream busy and its latency bounded.
std::string TokenBucket(const std::string& interface, uint32_t rate_mbit) {
  const uint64_t bytes_per_ms = uint64_t{rate_mbit} * 125;
  const uint64_t burst = std::max<uint64_t>(256 * 1024, bytes_per_ms);
  return fmt::format("qdisc add dev {} root tbf rate {}mbit burst {} limit {}\n", interface, rate_mbit, burst,
                     burst + 20 * bytes_per_ms);
}

// Ports without a cable still exist: the lab holds their far end.
std::string ParkedLinks(const Plan& plan, const LinkShape& shape, NamespacePaths paths) {
  std::set<std::pair<size_t, size_t>> wired;
  for (const fabric::Link& link : plan.fabric.links) {
    wired.emplace(link.a.node, link.a.port);
    wired.emplace(link.b.node, link.b.port);
  }
  std::string out;
  for (size_t n = 0; n < plan.nodes.size(); ++n) {
    for (size_t p = 0; p < plan.nodes[n].interfaces.size(); ++p) {
      if (wired.contains({n, p})) continue;
      out += fmt::format("link add name park{}-{} mtu {} type veth peer name {} mtu {} netns {}\n", n, p, shape.mtu,
                         plan.nodes[n].interfaces[p].name, shape.mtu, paths[n]);
      out += fmt::format("link set dev park{}-{} up\n", n, p);
    }
  }
  return out;
}

std::string ControlLinks(const Plan& plan, NamespacePaths paths) {
  if (plan.control == Control::kNone) return "";
  const bool lan = plan.control == Control::kLan;
  std::string out = lan ? fmt::format("link add name {} type bridge\nlink set dev {} up\n", kBridge, kBridge) : "";
  for (size_t n = 0; n < plan.nodes.size(); ++n) {
    out += fmt::format("link add name ctl{} mtu {} type veth peer name {} mtu {} netns {}\n", n, kControlMtu,
                       kControlInterface, kControlMtu, paths[n]);
    out += fmt::format("link set dev ctl{}{} up\n", n, lan ? fmt::format(" master {}", kBridge) : "");
  }
  return out;
}

}  // namespace

std::string HubLinks(const Plan& plan, const LinkShape& shape, NamespacePaths paths) {
  std::string out;
  for (const fabric::Link& link : plan.fabric.links) {
    out += fmt::format("link add name {} mtu {} netns {} type veth peer name {} mtu {} netns {}\n",
                       fabric::PortAt(plan.fabric, link.a).name, shape.mtu, paths[link.a.node],
                       fabric::PortAt(plan.fabric, link.b).name, shape.mtu, paths[link.b.node]);
  }
  return out + ParkedLinks(plan, shape, paths) + ControlLinks(plan, paths);
}

std::string NodeLinks(const Plan& plan, size_t node) {
  const PlanNode& n = plan.nodes[node];
  std::string out = "link set dev lo up\n";
  for (const Interface& interface : n.interfaces) {
    for (const std::string& address : interface.addresses) {
      out += fmt::format("address add {} dev {}\n", address, interface.name);
    }
    out += fmt::format("link set dev {} up\n", interface.name);
  }
  if (plan.control != Control::kNone) {
    out += fmt::format("address add {}/{} dev {}\n", n.control_address, plan.control == Control::kLan ? 24 : 32,
                       kControlInterface);
    out += fmt::format("link set dev {} up\n", kControlInterface);
  }
  for (const Route& route : n.routes) {
    out +=
        fmt::format("route add {}/32 via {} dev {} src {}\n", route.to, route.via, route.interface, n.control_address);
  }
  return out;
}

std::string NodeQueues(const Plan& plan, size_t node, const LinkShape& shape) {
  std::string out;
  if (shape.rate_mbit != 0) {
    for (const Interface& interface : plan.nodes[node].interfaces) out += TokenBucket(interface.name, shape.rate_mbit);
  }
  if (plan.control == Control::kLan) out += TokenBucket(kControlInterface, kControlMbit);
  return out;
}

std::string HubQueues(const Plan& plan) {
  std::string out;
  if (plan.control != Control::kLan) return out;
  for (size_t n = 0; n < plan.nodes.size(); ++n) out += TokenBucket(fmt::format("ctl{}", n), kControlMbit);
  return out;
}

}  // namespace relay::lab
