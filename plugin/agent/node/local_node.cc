#include "agent/node/local_node.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "agent/discovery/link_hardware.h"
#include "fabric/link_facts.h"

namespace relay::agent {
namespace {

constexpr size_t kMostPciPath = 256;  // that a WELCOME carries; sysfs has a hundred

bool Holds(const fabric::LocalInterface& interface, const fabric::Port& port) {
  return std::any_of(port.addresses.begin(), port.addresses.end(), [&](const SocketAddress& declared) {
    return std::any_of(interface.addresses.begin(), interface.addresses.end(),
                       [&](const SocketAddress& own) { return own.SameHost(declared); });
  });
}

// A port is the interface of its name; where a declaration names it differently, the one that has its address.
Result<std::string> InterfaceOf(const fabric::Node& node, const fabric::Port& port,
                                std::span<const fabric::LocalInterface> interfaces) {
  std::string by_address;
  for (const auto& interface : interfaces) {
    if (!Holds(interface, port)) continue;
    if (interface.name == port.name) return interface.name;
    by_address = interface.name;
  }
  if (!by_address.empty()) return by_address;
  for (const auto& interface : interfaces) {
    if (interface.name == port.name) return interface.name;
  }
  return Fail(ErrorCode::kUsage, "this node is " + node.name +
                                     " of the declared fabric, but has no interface for port " + port.name +
                                     ": neither that name nor its address");
}

// A port of a declared node with what was found behind it. What the declaration does not say is not used.
PortVerbs AsDeclared(const fabric::Port& declared, const std::string& interface, PortVerbs found) {
  const bool wanted = declared.kind == fabric::PortKind::kRdma;
  std::string why;
  if (!wanted && found.port) {
    why = found.Text() + R"( is behind it, but the declared fabric says tcp: give the port "kind": "rdma")";
  } else if (found.port && found.port->infiniband != declared.infiniband) {
    why = found.Text() +
          " is behind it, but the declared fabric has another link layer: give the port \"link_layer\": " +
          (found.port->infiniband ? "\"infiniband\"" : "\"ethernet\"");
  } else if (wanted && !found.port && found.why_not.empty()) {
    why = "no RDMA device is behind the interface " + interface;
  }
  if (why.empty()) return found;
  PortVerbs out;
  out.why_not = std::move(why);
  return out;
}

uint32_t SpeedOf(const LocalNode& node, size_t port) {
  const uint32_t known = node.node().ports[port].speed_mbit;
  if (known != 0) return known;
  const uint32_t measured = LinkSpeed(node.interfaces[port]);
  return measured != 0 || port >= node.verbs.size() ? measured : node.verbs[port].speed_mbit;
}

}  // namespace

std::optional<VerbsPort> LocalNode::VerbsOf(size_t port_index) const {
  return port_index < verbs.size() ? verbs[port_index].port : std::nullopt;
}

std::string LocalNode::NameOf(NodeId id) const {
  if (auto index = fabric::FindNode(fabric, id)) return fabric.nodes[*index].name;
  char text[32];
  snprintf(text, sizeof text, "node %016llx", static_cast<unsigned long long>(id));
  return text;
}

bool LocalNode::IsOfAnotherNode(const SocketAddress& address) const {
  for (size_t i = 0; i < fabric.nodes.size(); ++i) {
    if (i == self) continue;
    for (const fabric::Port& p : fabric.nodes[i].ports) {
      const bool same = std::any_of(p.addresses.begin(), p.addresses.end(),
                                    [&](const SocketAddress& candidate) { return candidate.SameHost(address); });
      if (same) return true;
    }
  }
  return false;
}

Result<LocalNode> FindLocalNode(fabric::Fabric fabric, std::span<const fabric::LocalInterface> interfaces,
                                const Knobs& knobs) {
  auto self = fabric::FindSelf(fabric, interfaces);
  RELAY_TRY(self);
  LocalNode out;
  out.self = *self;
  out.agreement = fabric::AgreementHash(fabric);
  out.port = static_cast<uint16_t>(knobs.port);
  out.connect_timeout = knobs.connect_timeout;
  out.hop.hop_timeout = knobs.hop_timeout;
  out.rdma = knobs.rdma != knob::Automatic::kOff;
  const fabric::Node& node = fabric.nodes[*self];
  for (const fabric::Port& port : node.ports) {
    auto interface = InterfaceOf(node, port, interfaces);
    RELAY_TRY(interface);
    out.interfaces.push_back(std::move(*interface));
  }
  out.fabric = std::move(fabric);
  return out;
}

VerbsPorts ReadVerbs(const LocalNode& node) {
  VerbsRoots roots = node.verbs_roots;
  if (!node.rdma) roots.library = [](const std::string&) { return Status(); };
  return VerbsPorts(std::move(roots));
}

std::vector<PortVerbs> VerbsBehind(const LocalNode& node, const VerbsPorts& devices,
                                   std::span<const fabric::Port> ports, std::span<const std::string> interfaces) {
  std::vector<PortVerbs> out;
  for (size_t i = 0; i < ports.size(); ++i) {
    PortVerbs found = devices.Behind(interfaces[i], ports[i].addresses);
    if (found.port && !node.rdma) {
      const std::string why = found.Text() + " is behind it, but NCCL_RELAY_RDMA is off";
      found = {};
      found.why_not = why;
    }
    out.push_back(std::move(found));
  }
  return out;
}

bool LookUpDeclared(LocalNode& node) {
  auto& ports = node.fabric.nodes[node.self].ports;
  if (node.declared_ports.empty()) node.declared_ports = ports;
  node.verbs = VerbsBehind(node, ReadVerbs(node), node.declared_ports, node.interfaces);
  bool changed = false;
  for (size_t i = 0; i < ports.size(); ++i) {
    const fabric::Port& declared = node.declared_ports[i];
    node.verbs[i] = AsDeclared(declared, node.interfaces[i], std::move(node.verbs[i]));
    const fabric::PortKind kind = node.verbs[i].port ? fabric::PortKind::kRdma : fabric::PortKind::kTcp;
    changed |= kind != ports[i].kind;
    ports[i].kind = kind;
    ports[i].infiniband = node.verbs[i].port && declared.infiniband;
  }
  if (!changed) return false;
  for (fabric::Link& link : node.fabric.links) {
    if (link.a.node == node.self || link.b.node == node.self) link.kind = fabric::KindOfPorts(node.fabric, link);
  }
  return true;
}

std::string VerbsText(const std::string& port, const PortVerbs& verbs) {
  if (verbs.port) return port + " is rdma: " + verbs.Text();
  return verbs.why_not.empty() ? "" : port + " is tcp: " + verbs.why_not;
}

std::vector<control::DeviceInfo> DevicesOf(const LocalNode& node) {
  std::map<std::string, control::DeviceInfo> nics;  // by what ports and functions of one have in common
  uint32_t fastest = 0;
  for (size_t i = 0; i < node.interfaces.size(); ++i) {
    const uint32_t speed = SpeedOf(node, i);
    fastest = std::max(fastest, speed);
    if (!node.VerbsOf(i)) continue;
    const PortVerbs& verbs = node.verbs[i];
    if (verbs.pci_path.empty() || verbs.pci_path.size() > kMostPciPath) continue;
    const auto [nic, fresh] = nics.try_emplace(verbs.nic, control::DeviceInfo{"", verbs.pci_path, speed});
    if (fresh) continue;
    nic->second.pci_path = std::min(nic->second.pci_path, verbs.pci_path);
    nic->second.speed_mbit = std::max(nic->second.speed_mbit, speed);
  }
  std::vector<control::DeviceInfo> out;
  for (auto& [key, nic] : nics) out.push_back(std::move(nic));
  if (out.empty()) out.push_back({"", "", fastest});
  // In an order that a restart of the agent keeps: NCCL knows devices by their numbers.
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.pci_path < b.pci_path; });
  for (size_t i = 0; i < out.size(); ++i) out[i].name = "relay" + std::to_string(i);
  return out;
}

std::optional<LinkEnds> EndsFrom(const LocalNode& node, size_t link) {
  const fabric::Link& l = node.fabric.links[link];
  if (l.a.node == node.self) return LinkEnds{l.a, l.b};
  if (l.b.node == node.self) return LinkEnds{l.b, l.a};
  return std::nullopt;
}

std::vector<transport::tcp::DialTarget> TargetsOf(const LocalNode& node, const LinkEnds& ends) {
  const fabric::Port& near = node.fabric.nodes[ends.near.node].ports[ends.near.port];
  const fabric::Port& far = node.fabric.nodes[ends.far.node].ports[ends.far.port];
  std::vector<transport::tcp::DialTarget> out;
  if (!node.declared) {
    const auto live = node.reach.find(KeyOf(node, ends));
    if (live != node.reach.end()) out.push_back(live->second);
    return out;
  }
  for (const SocketAddress& to : far.addresses) {
    auto from = std::find_if(near.addresses.begin(), near.addresses.end(), [&](const SocketAddress& own) {
      return own.family() == to.family() && own.IsLinkLocal() == to.IsLinkLocal();
    });
    if (from != near.addresses.end()) out.push_back({node.interfaces[ends.near.port], *from, to.WithPort(node.port)});
  }
  return out;
}

LinkKey KeyOf(const LocalNode& node, const LinkEnds& ends) {
  const fabric::Node& far = node.fabric.nodes[ends.far.node];
  return {node.fabric.nodes[ends.near.node].ports[ends.near.port].name, far.id, far.ports[ends.far.port].name};
}

transport::tcp::HopOptions HopOver(const LocalNode& node, const LinkEnds& ends) {
  transport::tcp::HopOptions hop = node.hop;
  if (const auto limit = node.limits.Of(KeyOf(node, ends))) hop.packet = limit->passes;
  return hop;
}

std::string TargetText(const transport::tcp::DialTarget& target) {
  return target.far.ToText() + (target.interface.empty() ? " beyond routers" : " on " + target.interface);
}

}  // namespace relay::agent
