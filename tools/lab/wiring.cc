#include "lab/wiring.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "fabric/link_facts.h"

namespace relay::lab {
namespace {

constexpr uint32_t kControlKbit = 100000;
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

std::string AddTokenBucket(const std::string& interface, uint32_t rate_kbit) {
  return fmt::format("qdisc add dev {} root {}\n", interface, TokenBucket(rate_kbit));
}

// Ports without a cable still exist: the lab holds their far end.
std::string ParkedLinks(const Plan& plan, NamespacePaths paths, CableText& cable) {
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
      out += cable({park, ""}, {plan.nodes[n].interfaces[p].name, paths[n]}, plan.mtu);
      out += fmt::format("link set dev {} up\n", park);
    }
  }
  return out;
}

// The router reaches every link address through the node that has it: the way that data may not take. Of addresses
// that are used again it knows the first.
std::string Gateway(const Plan& plan) {
  std::string out = fmt::format("address add {}/24 dev {}\n", kGatewayAddress, kBridge);
  std::set<std::string> known;
  for (size_t n = 0; n < plan.nodes.size(); ++n) {
    for (const fabric::Port& port : plan.fabric.nodes[n].ports) {
      for (const SocketAddress& address : port.addresses) {
        if (address.family() != AF_INET || !known.insert(address.HostText()).second) continue;
        out +=
            fmt::format("route add {}/32 via {} dev {}\n", address.HostText(), plan.nodes[n].control_address, kBridge);
      }
    }
  }
  return out;
}

std::string RouteText(const Plan& plan, size_t node, const Route& route, const char* verb) {
  return fmt::format("route {} {}/32 via {} dev {} src {}\n", verb, route.to, route.via, route.interface,
                     plan.nodes[node].control_address);
}

std::string FarRoutes(const Interface& interface) {
  std::string out;
  for (const std::string& host : interface.far_hosts) {
    out += fmt::format("route replace {}/128 dev {}\n", host, interface.name);
  }
  return out;
}

std::string ControlLinks(const Plan& plan, NamespacePaths paths, CableText& cable) {
  if (plan.control == Control::kNone) return "";
  const bool lan = IsLan(plan.control);
  std::string out = lan ? fmt::format("link add name {} type bridge\nlink set dev {} up\n", kBridge, kBridge) : "";
  for (size_t n = 0; n < plan.nodes.size(); ++n) {
    out += cable({HubPort(n), ""}, {kControlInterface, paths[n]}, kControlMtu);
    out += fmt::format("link set dev {}{} up\n", HubPort(n), lan ? fmt::format(" master {}", kBridge) : "");
  }
  return plan.control == Control::kGateway ? out + Gateway(plan) : out;
}

}  // namespace

std::string HubPort(size_t node) { return fmt::format("ctl{}", node); }

// A burst is a millisecond's worth, and at least a few of the largest segments unless that takes longer than 20 ms:
// what does not fit whole is cut up. Twenty milliseconds of queue keep one TCP stream busy and its latency bounded.
std::string TokenBucket(uint32_t rate_kbit) {
  constexpr uint64_t kFewSegments = 256 * 1024, kOnePacket = 72 * 1024;  // of the largest MTU
  const uint64_t bytes_per_ms = (uint64_t{rate_kbit} + 7) / 8;
  const uint64_t burst = std::max(bytes_per_ms, std::clamp(20 * bytes_per_ms, kOnePacket, kFewSegments));
  const std::string rate =
      rate_kbit % 1000 == 0 ? fmt::format("{}mbit", rate_kbit / 1000) : fmt::format("{}kbit", rate_kbit);
  return fmt::format("tbf rate {} burst {} limit {}", rate, burst, burst + 20 * bytes_per_ms);
}

std::string HubLinks(const Plan& plan, NamespacePaths paths) {
  CableText cable;
  std::string out;
  for (const fabric::Link& link : plan.fabric.links) {
    out += cable({fabric::PortAt(plan.fabric, link.a).name, paths[link.a.node]},
                 {fabric::PortAt(plan.fabric, link.b).name, paths[link.b.node]}, plan.mtu);
  }
  return out + ParkedLinks(plan, paths, cable) + ControlLinks(plan, paths, cable);
}

std::string InterfaceUp(const Plan& plan, const fabric::LinkEnd& end) {
  const Interface& interface = plan.InterfaceAt(end);
  std::string out = fmt::format("link set dev {} up\n", interface.name);
  for (const std::string& address : interface.addresses) {
    out += fmt::format("address replace {} dev {}\n", address, interface.name);
  }
  out += FarRoutes(interface);
  for (const Route& route : plan.nodes[end.node].routes) {
    if (route.interface == interface.name) out += RouteText(plan, end.node, route, "replace");
  }
  return out;
}

std::string NodeLinks(const Plan& plan, size_t node) {
  const PlanNode& n = plan.nodes[node];
  std::string out = "link set dev lo up\n";
  for (const Interface& interface : n.interfaces) {
    for (const std::string& address : interface.addresses) {
      out += fmt::format("address add {} dev {}\n", address, interface.name);
    }
    out += fmt::format("link set dev {} up\n", interface.name) + FarRoutes(interface);
  }
  if (plan.control != Control::kNone) {
    out +=
        fmt::format("address add {}/{} dev {}\n", n.control_address, IsLan(plan.control) ? 24 : 32, kControlInterface);
    out += fmt::format("link set dev {} up\n", kControlInterface);
  }
  if (plan.control == Control::kGateway) {
    out += fmt::format("route add default via {} dev {}\n", kGatewayAddress, kControlInterface);
  }
  for (const Route& route : n.routes) out += RouteText(plan, node, route, "add");
  return out;
}

std::string NodeQueues(const Plan& plan, size_t node) {
  std::string out;
  for (const Interface& interface : plan.nodes[node].interfaces) {
    if (interface.rate_kbit != 0) out += AddTokenBucket(interface.name, interface.rate_kbit);
  }
  if (IsLan(plan.control)) out += AddTokenBucket(kControlInterface, kControlKbit);
  return out;
}

std::string HubQueues(const Plan& plan) {
  std::string out;
  if (!IsLan(plan.control)) return out;
  for (size_t n = 0; n < plan.nodes.size(); ++n) out += AddTokenBucket(HubPort(n), kControlKbit);
  return out;
}

}  // namespace relay::lab
