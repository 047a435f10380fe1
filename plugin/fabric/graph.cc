// Records made into a graph. Every agent that holds the same records must come to the same graph, so nothing here
// depends on the order in which they are given or came.
#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <tuple>

#include "fabric/link_facts.h"
#include "fabric/link_state.h"
#include "fabric/names.h"

namespace relay::fabric {
namespace {

constexpr size_t kNowhere = SIZE_MAX;

// One end's claim of a link, written so that both ends' claims sort next to each other: `a` is the end of the node with
// the lower index.
struct Claim {
  size_t a_node, a_port, b_node, b_port;
  bool routed;
  bool by_b;
  uint32_t latency_us;

  auto Ends() const { return std::tuple(a_node, b_node, a_port, b_port); }
  auto Key() const { return std::tuple(a_node, b_node, a_port, b_port, routed, by_b, latency_us); }
};

// The records that count, and their ports as the graph has them.
class Drawing {
 public:
  explicit Drawing(std::span<const Record* const> records) : records_(records.begin(), records.end()) {
    std::sort(records_.begin(), records_.end(), [](const Record* x, const Record* y) { return x->node < y->node; });
    records_.erase(std::unique(records_.begin(), records_.end(),
                               [](const Record* x, const Record* y) { return x->node == y->node; }),
                   records_.end());
    for (const Record* record : records_) nodes_.push_back(Draw(*record));
  }

  size_t IndexOf(NodeId node) const {
    const auto at = std::lower_bound(records_.begin(), records_.end(), node,
                                     [](const Record* record, NodeId id) { return record->node < id; });
    return at == records_.end() || (*at)->node != node ? kNowhere : static_cast<size_t>(at - records_.begin());
  }

  // Takes the links that both ends claim, and a common wire before a routed link between the same two ports.
  std::vector<Link> Links() const {
    std::vector<Claim> claims;
    for (size_t i = 0; i < records_.size(); ++i) {
      for (const Neighbour& neighbour : records_[i]->neighbours) {
        if (const auto claim = ClaimOf(i, neighbour)) claims.push_back(*claim);
      }
    }
    std::sort(claims.begin(), claims.end(), [](const Claim& x, const Claim& y) { return x.Key() < y.Key(); });
    std::vector<Link> links;
    for (size_t i = 0, next = 0; i < claims.size(); i = next) {
      next = EndOfGroup(claims, i);
      const std::span<const Claim> group(claims.data() + i, next - i);
      if (!group.front().by_b && group.back().by_b) Add(group, links);
    }
    return links;
  }

  // The part of the graph that `links` join to `self`.
  Fabric Around(size_t self, std::span<const Link> links) const {
    std::vector<std::vector<size_t>> neighbours(nodes_.size());
    for (const Link& link : links) {
      neighbours[link.a.node].push_back(link.b.node);
      neighbours[link.b.node].push_back(link.a.node);
    }
    std::vector<bool> joined(nodes_.size(), false);
    joined[self] = true;
    for (std::vector<size_t> open{self}; !open.empty();) {
      const size_t node = open.back();
      open.pop_back();
      for (size_t neighbour : neighbours[node]) {
        if (!joined[neighbour]) open.push_back(neighbour);
        joined[neighbour] = true;
      }
    }
    Fabric fabric;
    std::vector<size_t> places(nodes_.size(), kNowhere);
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (!joined[i]) continue;
      places[i] = fabric.nodes.size();
      fabric.nodes.push_back(nodes_[i]);
    }
    for (Link link : links) {
      if (!joined[link.a.node]) continue;
      link.a.node = places[link.a.node];
      link.b.node = places[link.b.node];
      fabric.links.push_back(link);
    }
    return fabric;
  }

 private:
  static Node Draw(const Record& record) {
    Node node;
    node.id = record.node;
    node.name = record.name;
    node.draining = record.draining;
    for (const Port& port : record.ports) {
      if (!port.addresses.empty()) node.ports.push_back(port);
    }
    std::sort(node.ports.begin(), node.ports.end(), [](const Port& x, const Port& y) { return x.name < y.name; });
    return node;
  }

  size_t PortOf(size_t node, std::string_view name) const {
    const auto& ports = nodes_[node].ports;
    const auto at = std::lower_bound(ports.begin(), ports.end(), name,
                                     [](const Port& port, std::string_view wanted) { return port.name < wanted; });
    return at == ports.end() || at->name != name ? kNowhere : static_cast<size_t>(at - ports.begin());
  }

  std::optional<Claim> ClaimOf(size_t node, const Neighbour& neighbour) const {
    const size_t other = IndexOf(neighbour.node);
    if (other == kNowhere || other == node || neighbour.port >= records_[node]->ports.size()) return std::nullopt;
    const size_t port = PortOf(node, records_[node]->ports[neighbour.port].name);
    const size_t far_port = PortOf(other, neighbour.far_port);
    if (port == kNowhere || far_port == kNowhere) return std::nullopt;
    if (node < other) return Claim{node, port, other, far_port, neighbour.routed, false, neighbour.latency_us};
    return Claim{other, far_port, node, port, neighbour.routed, true, neighbour.latency_us};
  }

  static size_t EndOfGroup(const std::vector<Claim>& claims, size_t begin) {
    size_t end = begin;
    while (end < claims.size() && claims[end].Ends() == claims[begin].Ends() &&
           claims[end].routed == claims[begin].routed) {
      ++end;
    }
    return end;
  }

  void Add(std::span<const Claim> group, std::vector<Link>& links) const {
    const Claim& claim = group.front();
    const Port& a = nodes_[claim.a_node].ports[claim.a_port];
    const Port& b = nodes_[claim.b_node].ports[claim.b_port];
    Link link;
    link.a = {claim.a_node, claim.a_port};
    link.b = {claim.b_node, claim.b_port};
    if (!links.empty() && links.back().a == link.a && links.back().b == link.b) return;
    if (!CanSpeak(a, b)) return;
    link.speed_mbit = SlowerOf(a, b);
    link.kind = CommonKind(a, b);
    link.routed = claim.routed;
    link.last_resort = claim.routed || a.last_resort || b.last_resort;
    for (const Claim& one : group) {
      const bool lower = link.latency_us == 0 || one.latency_us < link.latency_us;
      if (one.latency_us != 0 && lower) link.latency_us = one.latency_us;
    }
    links.push_back(link);
  }

  std::vector<const Record*> records_;
  std::vector<Node> nodes_;  // beside records_
};

// A host's name as far as a graph's may look like it: 1 to kMaxNameBytes characters of a name.
std::string NameFrom(std::string host, NodeId id) {
  char hex[17];
  std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(id));
  if (host.empty()) return "node-" + std::string(hex, 8);
  for (char& c : host) {
    if (!IsNameCharacter(c)) c = '-';
  }
  return host.substr(0, kMaxNameBytes);
}

// Digits of the id behind a name that others have too; with all of them it is unique whatever the others are called.
constexpr size_t kSuffixes[] = {0, 4, 8, 16};

std::string WithSuffix(const std::string& name, NodeId id, size_t digits) {
  if (digits == 0) return name;
  char hex[17];
  std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(id));
  return name.substr(0, kMaxNameBytes - 1 - digits) + "-" + std::string(hex, digits);
}

void MakeNamesUnique(std::vector<Node>& nodes) {
  std::vector<std::string> hosts;
  for (const Node& node : nodes) hosts.push_back(NameFrom(node.name, node.id));
  std::vector<size_t> level(nodes.size(), 0);
  for (bool again = true; again;) {
    again = false;
    std::map<std::string, std::vector<size_t>> bearers;
    for (size_t i = 0; i < nodes.size(); ++i) {
      nodes[i].name = WithSuffix(hosts[i], nodes[i].id, kSuffixes[level[i]]);
      bearers[nodes[i].name].push_back(i);
    }
    for (const auto& [name, all] : bearers) {
      for (size_t i : all) {
        if (all.size() == 1 || level[i] + 1 == std::size(kSuffixes)) continue;
        ++level[i];
        again = true;
      }
    }
  }
}

}  // namespace

Fabric MakeGraph(std::span<const Record* const> records, NodeId self) {
  const Drawing drawing(records);
  const size_t own = drawing.IndexOf(self);
  if (own == kNowhere) return {};
  Fabric fabric = drawing.Around(own, drawing.Links());
  MakeNamesUnique(fabric.nodes);
  return fabric;
}

}  // namespace relay::fabric
