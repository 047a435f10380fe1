#include "lab/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "fabric/link_facts.h"
#include "fabric/path_search.h"

namespace relay::lab {
namespace {

using fabric::Fabric;
using fabric::LinkEnd;

constexpr size_t kMaxInterfaceName = 15;  // IFNAMSIZ and its zero
constexpr size_t kMaxCables = 1 << 14;    // each has its addresses in 10.77.0.0/16

std::string Lower(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return text;
}

Status CheckBuildable(const Fabric& fabric) {
  if (fabric.nodes.size() > kMaxNodes) {
    return Fail(ErrorCode::kUsage,
                fmt::format("a lab has at most {} nodes, the fabric {}", kMaxNodes, fabric.nodes.size()));
  }
  for (const fabric::Node& node : fabric.nodes) {
    for (const fabric::Port& port : node.ports) {
      if (port.name.size() > kMaxInterfaceName || port.name == kControlInterface || port.name == "lo" ||
          port.name == "." || port.name == "..") {
        return Fail(
            ErrorCode::kUsage,
            fmt::format("port {}/{} cannot be an interface of the lab: at most {} characters, and not \"lo\" or \"{}\"",
                        node.name, port.name, kMaxInterfaceName, kControlInterface));
      }
    }
  }
  std::set<std::pair<size_t, size_t>> used;
  for (const fabric::Link& link : fabric.links) {
    for (const LinkEnd& end : {link.a, link.b}) {
      if (used.emplace(end.node, end.port).second) continue;
      return Fail(ErrorCode::kUsage, fmt::format("port {} has several links: the lab builds cables, not switches",
                                                 fabric::EndText(fabric, end)));
    }
  }
  return {};
}

bool IsLinkLocal(const SocketAddress& address) { return Lower(address.HostText()).rfind("fe80:", 0) == 0; }

// The two ends of one of the lab's own subnets share a prefix; declared addresses are joined one to one.
std::string AddressArgument(const SocketAddress& own, const fabric::Port* peer, std::optional<AddressStyle> style) {
  const std::string text = own.HostText();
  const bool v6 = own.family() == AF_INET6;
  const char* at_once = v6 ? " nodad" : "";
  if (v6 && IsLinkLocal(own)) return text + "/64 nodad";
  if (style) return fmt::format("{}/{}{}", text, PrefixLength(*style), at_once);
  if (v6) return text + "/128 nodad";
  for (const SocketAddress& other : peer ? peer->addresses : std::vector<SocketAddress>{}) {
    if (other.family() == AF_INET) return text + " peer " + other.HostText() + "/32";
  }
  return text + "/32";
}

// Declared IPv6 addresses are joined by routes: the kernel forgets that of a "peer" when the cable's ends come up in an
// unlucky order.
std::vector<std::string> FarHosts(const fabric::Port* peer, std::optional<AddressStyle> style) {
  std::vector<std::string> hosts;
  for (const SocketAddress& other : peer && !style ? peer->addresses : std::vector<SocketAddress>{}) {
    if (other.family() == AF_INET6 && !IsLinkLocal(other)) hosts.push_back(other.HostText());
  }
  return hosts;
}

// The port at the other end of each port's cable.
std::map<std::pair<size_t, size_t>, LinkEnd> Peers(const Fabric& fabric) {
  std::map<std::pair<size_t, size_t>, LinkEnd> peers;
  for (const fabric::Link& link : fabric.links) {
    peers[{link.a.node, link.a.port}] = link.b;
    peers[{link.b.node, link.b.port}] = link.a;
  }
  return peers;
}

std::optional<std::string> FirstV4(const fabric::Port& port) {
  for (const SocketAddress& address : port.addresses) {
    if (address.family() == AF_INET) return address.HostText();
  }
  return std::nullopt;
}

Status AddRoutes(Plan& plan) {
  const Fabric& fabric = plan.fabric;
  for (size_t from = 0; from < plan.nodes.size(); ++from) {
    fabric::PathSearch search(fabric, from);
    for (size_t to = 0; to < plan.nodes.size(); ++to) {
      if (to == from) continue;
      const Result<fabric::Path> path = search.To(fabric, to);
      if (!path) continue;  // islands may be what is to be tried
      const fabric::Link& link = fabric.links[path->links.front()];
      const bool forward = link.a.node == from;
      const auto via = FirstV4(fabric::PortAt(fabric, forward ? link.b : link.a));
      if (!via) {
        return Fail(ErrorCode::kUsage, fmt::format("routes need IPv4 addresses, which {} lacks",
                                                   fabric::LinkText(fabric, path->links.front())));
      }
      plan.nodes[from].routes.push_back(
          {plan.nodes[to].control_address, *via, fabric::PortAt(fabric, forward ? link.a : link.b).name});
    }
  }
  return {};
}

Status AddControl(Plan& plan) {
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    PlanNode& node = plan.nodes[i];
    switch (plan.control) {
      case Control::kLan:
      case Control::kGateway:
        node.control_address = fmt::format("10.88.0.{}", i + 1);
        break;
      case Control::kRoutes:
        node.control_address = fmt::format("10.99.0.{}", i + 1);
        break;
      case Control::kNone: {
        const auto& ports = plan.fabric.nodes[i].ports;
        node.control_address = ports.empty() ? "127.0.0.1" : ports.front().addresses.front().HostText();
      }
    }
  }
  return plan.control == Control::kRoutes ? AddRoutes(plan) : Status{};
}

}  // namespace

Result<Fabric> DeclareShape(const Topology& topology, uint32_t speed_mbit, AddressStyle style) {
  if (topology.cables.size() > kMaxCables) return Fail(ErrorCode::kUsage, topology.name + " has too many cables");
  Fabric fabric;
  fabric.name = topology.name;
  for (const std::string& name : topology.nodes) fabric.nodes.push_back({0, name, {}});
  struct Pair {
    size_t index = 0, cables = 0;
  };
  std::map<std::pair<size_t, size_t>, Pair> pairs;
  for (size_t i = 0; i < topology.cables.size(); ++i) {
    const Cable& cable = topology.cables[i];
    Pair& pair = pairs.try_emplace(std::minmax(cable.a, cable.b), Pair{pairs.size(), 0}).first->second;
    const size_t twin = ++pair.cables;
    const auto add_port = [&](size_t from, size_t to, bool first) {
      auto& ports = fabric.nodes[from].ports;
      std::string name = Lower(topology.nodes[from] + topology.nodes[to]);
      // From L to O it would be the loopback interface's.
      if (twin > 1 || name == "lo") name += std::to_string(twin);
      const SocketAddress address = PortAddress(style, {i, pair.index, 2 * (twin - 1) + (first ? 0 : 1), from, first});
      ports.push_back({name, {address}, speed_mbit, fabric::PortKind::kTcp});
      return LinkEnd{from, ports.size() - 1};
    };
    fabric::Link link;
    link.a = add_port(cable.a, cable.b, true);
    link.b = add_port(cable.b, cable.a, false);
    link.speed_mbit = speed_mbit;
    fabric.links.push_back(link);
  }
  // Reading it back numbers the nodes and holds it to the limits of every fabric.
  return fabric::ParseFabric(fabric::PrintFabric(fabric), topology.name);
}

Result<Plan> MakePlan(Fabric fabric, const PlanOptions& options) {
  RELAY_TRY(CheckBuildable(fabric));
  Plan plan;
  plan.control = options.control;
  plan.mtu = options.mtu;
  plan.fabric_text = fabric::PrintFabric(fabric);
  const auto peers = Peers(fabric);
  for (size_t n = 0; n < fabric.nodes.size(); ++n) {
    PlanNode node;
    node.name = fabric.nodes[n].name;
    for (size_t p = 0; p < fabric.nodes[n].ports.size(); ++p) {
      const fabric::Port& port = fabric.nodes[n].ports[p];
      const auto peer = peers.find({n, p});
      const fabric::Port* far = peer == peers.end() ? nullptr : &fabric::PortAt(fabric, peer->second);
      Interface interface;
      interface.name = port.name;
      interface.far_hosts = FarHosts(far, options.style);
      for (const SocketAddress& address : port.addresses) {
        interface.addresses.push_back(AddressArgument(address, far, options.style));
      }
      node.interfaces.push_back(std::move(interface));
    }
    plan.nodes.push_back(std::move(node));
  }
  plan.fabric = std::move(fabric);
  RELAY_TRY(AddControl(plan));
  return plan;
}

Result<size_t> FindNodeNamed(const Plan& plan, std::string_view name) {
  std::string names;
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    if (plan.nodes[i].name == name) return i;
    names += (i ? " " : "") + plan.nodes[i].name;
  }
  return Fail(ErrorCode::kUsage, fmt::format("no node {}; there are {}", name, names));
}

}  // namespace relay::lab
