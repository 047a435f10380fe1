#include "agent/local_node.h"

#include <algorithm>
#include <cstdio>

namespace relay::agent {
namespace {

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

}  // namespace

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
  const fabric::Node& node = fabric.nodes[*self];
  for (const fabric::Port& port : node.ports) {
    auto interface = InterfaceOf(node, port, interfaces);
    RELAY_TRY(interface);
    out.interfaces.push_back(std::move(*interface));
  }
  out.fabric = std::move(fabric);
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
    const auto live = node.reach.find({near.name, node.fabric.nodes[ends.far.node].id, far.name});
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

std::string TargetText(const transport::tcp::DialTarget& target) {
  return target.far.ToText() + (target.interface.empty() ? " beyond routers" : " on " + target.interface);
}

}  // namespace relay::agent
