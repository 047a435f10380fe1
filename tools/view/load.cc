#include "view/load.h"

#include <algorithm>
#include <map>
#include <set>

namespace relay::view {
namespace {

using fabric::Fabric;
using fabric::LinkEnd;

struct EndRate {
  bool known = false, down = false;
  double in_bits_s = 0, out_bits_s = 0, retransmits_s = 0;
  uint64_t rtt_us = 0;
  std::set<std::string> circuits;
};

size_t LinksAt(const Fabric& fabric, const LinkEnd& end) {
  return static_cast<size_t>(std::count_if(fabric.links.begin(), fabric.links.end(),
                                           [&](const fabric::Link& link) { return link.a == end || link.b == end; }));
}

// What a node says of one end of a link. A port with one link is counted by its interface; where a port has several (a
// switch is between), only the circuits tell them apart.
EndRate RateAt(const Fabric& fabric, const NodeRates* node, const LinkEnd& near, const LinkEnd& far) {
  EndRate out;
  if (node == nullptr) return out;
  const std::string& port_name = fabric.nodes[near.node].ports[near.port].name;
  const std::string& neighbour = fabric.nodes[far.node].name;
  const auto port = std::find_if(node->ports.begin(), node->ports.end(),
                                 [&](const PortRate& candidate) { return candidate.now.port == port_name; });
  if (port == node->ports.end()) return out;
  out.known = true;
  out.down = !port->now.up;
  const bool alone = LinksAt(fabric, near) == 1;
  for (const CircuitRate& circuit : node->circuits) {
    for (const HopRate& hop : circuit.hops) {
      if (hop.now.port != port_name || hop.now.neighbour != neighbour) continue;
      out.circuits.insert(circuit.now.Key());
      out.retransmits_s += hop.retransmits_s;
      out.rtt_us = std::max(out.rtt_us, hop.now.rtt_us);
      if (alone) continue;
      out.in_bits_s += hop.in_bits_s;
      out.out_bits_s += hop.out_bits_s;
    }
  }
  if (!alone) return out;
  out.in_bits_s = port->in_bits_s;
  out.out_bits_s = port->out_bits_s;
  return out;
}

LinkLoad LoadOfLink(const EndRate& a, const EndRate& b) {
  LinkLoad out;
  out.known = a.known || b.known;
  out.down = a.down || b.down;
  // Whoever sends knows best; two readings are not of the same instant.
  out.a_to_b_bits_s = a.known ? a.out_bits_s : b.in_bits_s;
  out.b_to_a_bits_s = b.known ? b.out_bits_s : a.in_bits_s;
  out.retransmits_s = a.retransmits_s + b.retransmits_s;
  out.rtt_us = std::max(a.rtt_us, b.rtt_us);
  std::set<std::string> circuits = a.circuits;
  circuits.insert(b.circuits.begin(), b.circuits.end());
  out.circuits = circuits.size();
  return out;
}

// Every circuit once, though each node of its path tells of it: the fastest of what they say, because a node's rate is
// 0 in the first reading that shows the circuit.
std::vector<PathLoad> LoadOfPaths(const std::vector<NodeRates>& nodes) {
  std::map<std::string, const CircuitRate*> circuits;
  for (const NodeRates& node : nodes) {
    for (const CircuitRate& circuit : node.circuits) {
      const CircuitRate*& best = circuits[circuit.now.Key()];
      const auto rate = [](const CircuitRate& c) { return c.forward_bits_s + c.backward_bits_s; };
      if (best == nullptr || rate(circuit) > rate(*best)) best = &circuit;
    }
  }
  std::map<std::string, PathLoad> paths;
  for (const auto& [key, circuit] : circuits) {
    PathLoad& load = paths[circuit->now.path];
    load.path = circuit->now.path;
    load.from = circuit->now.from;
    load.to = circuit->now.to;
    ++load.circuits;
    load.forward_bits_s += circuit->forward_bits_s;
    load.backward_bits_s += circuit->backward_bits_s;
  }
  std::vector<PathLoad> out;
  for (auto& [path, load] : paths) out.push_back(std::move(load));
  std::stable_sort(out.begin(), out.end(), [](const PathLoad& x, const PathLoad& y) {
    return x.forward_bits_s + x.backward_bits_s > y.forward_bits_s + y.backward_bits_s;
  });
  return out;
}

}  // namespace

FabricLoad LoadOf(const Fabric& fabric, const std::vector<NodeRates>& nodes) {
  std::map<std::string, const NodeRates*> by_name;
  for (const NodeRates& node : nodes) by_name[node.name] = &node;
  std::vector<const NodeRates*> of_node;
  FabricLoad out;
  for (const fabric::Node& node : fabric.nodes) {
    const auto found = by_name.find(node.name);
    of_node.push_back(found == by_name.end() ? nullptr : found->second);
    if (of_node.back() == nullptr) out.silent.push_back(node.name);
  }
  for (const fabric::Link& link : fabric.links) {
    out.links.push_back(LoadOfLink(RateAt(fabric, of_node[link.a.node], link.a, link.b),
                                   RateAt(fabric, of_node[link.b.node], link.b, link.a)));
  }
  out.paths = LoadOfPaths(nodes);
  return out;
}

}  // namespace relay::view
