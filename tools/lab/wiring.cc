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

// Indices are unique in the whole lab: where both ends of a cable have the same one, the kernel takes them for one
// device and announces the carrier up to a second late.
class CableText {
 public:
  struct End {
    std::string interface, space;  // space: a path, or empty for the hub's
  };
  std::string operator()(const End& a, const End& b, uint32_t mtu) {
    const std::string first = EndText(a, mtu);
    return fmt::format("link add {} type veth peer {}\n", first, EndText(b, mtu));
  }

 private:
  std::string EndText(const End& end, uint32_t mtu) {
    return fmt::format("name {} index {} mtu {}{}", end.interface, next_index_++, mtu,
                       end.space.empty() ? "" : " netns " + end.space);
  }
  int next_index_ = 100;
};

// A burst is a millisecond's worth, and at least a few of the largest segments: what does not fit whole is cut up.
// Twenty milliseconds of queue keep one TCP stream busy and its latency bounded.
std::string TokenBucket(const std::string& interface, uint32_t rate_mbit) {
  const uint64_t bytes_per_ms = uint64_t{rate_mbit} * 125;
  const uint64_t burst = std::max<uint64_t>(256 * 1024, bytes_per_ms);
  return fmt::format("qdisc add dev {} root tbf rate {}mbit burst {} limit {}\n", interface, rate_mbit, burst,
                     burst + 20 * bytes_per_ms);
}

// Ports without a cable still exist: the lab holds their far end.
std::string ParkedLinks(const Plan& plan, const LinkShape& shape, NamespacePaths paths, CableText& cable) {
  std::set<std::pair<size_t, size_t>> wired;
  for (const fabric::Link& link : plan.fabric.links) {
    wired.emplace(link.a.node, link.a.port);
    wired.emplace(link.b.node, link.b.port);
  }
  std::string out;
  for (size_t n = 0; n < plan.nodes.size(); ++n) {
    for (size_t p = 0; p < plan.nodes[n].interfaces.size(); ++p) {
      if (wired.contains({n, p})) continue;
      const std::string park = fmt::format("park{}-{}", n, p);
      out += cable({park, ""}, {plan.nodes[n].interfaces[p].name, paths[n]}, shape.mtu);
      out += fmt::format("link set dev {} up\n", park);
    }
  }
  return out;
}

std::string ControlLinks(const Plan& plan, NamespacePaths paths, CableText& cable) {
  if (plan.control == Control::kNone) return "";
  const bool lan = plan.control == Control::kLan;
  std::string out = lan ? fmt::format("link add name {} type bridge\nlink set dev {} up\n", kBridge, kBridge) : "";
  for (size_t n = 0; n < plan.nodes.size(); ++n) {
    out += cable({HubPort(n), ""}, {kControlInterface, paths[n]}, kControlMtu);
    out += fmt::format("link set dev {}{} up\n", HubPort(n), lan ? fmt::format(" master {}", kBridge) : "");
  }
  return out;
}

}  // namespace

std::string HubPort(size_t node) { return fmt::format("ctl{}", node); }

std::string HubLinks(const Plan& plan, const LinkShape& shape, NamespacePaths paths) {
  CableText cable;
  std::string out;
  for (const fabric::Link& link : plan.fabric.links) {
    out += cable({fabric::PortAt(plan.fabric, link.a).name, paths[link.a.node]},
                 {fabric::PortAt(plan.fabric, link.b).name, paths[link.b.node]}, shape.mtu);
  }
  return out + ParkedLinks(plan, shape, paths, cable) + ControlLinks(plan, paths, cable);
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
  for (size_t n = 0; n < plan.nodes.size(); ++n) out += TokenBucket(HubPort(n), kControlMbit);
  return out;
}

}  // namespace relay::lab
