#include "fabric/route.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "fabric/link_facts.h"

namespace relay::fabric {
namespace {

LinkName Ordered(LinkName name) {
  if (name.a <= name.b) return name;
  return {name.b, std::move(name.b_port), name.a, std::move(name.a_port)};
}

}  // namespace

LinkName NameOf(const RouteHop& hop) { return Ordered({hop.from, hop.from_port, hop.to, hop.to_port}); }

LinkName NameOf(const Fabric& fabric, size_t link) {
  const Link& l = fabric.links[link];
  return Ordered(
      {fabric.nodes[l.a.node].id, PortAt(fabric, l.a).name, fabric.nodes[l.b.node].id, PortAt(fabric, l.b).name});
}

std::vector<LinkName> NamesOf(std::span<const RouteHop> route) {
  std::vector<LinkName> out;
  for (const RouteHop& hop : route) out.push_back(NameOf(hop));
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

bool AllAmong(std::span<const LinkName> names, std::span<const LinkName> others) {
  return std::includes(others.begin(), others.end(), names.begin(), names.end());
}

std::optional<Path> PathOf(const Fabric& fabric, std::span<const RouteHop> route) {
  if (route.empty()) return std::nullopt;
  const auto first = FindNode(fabric, route.front().from);
  if (!first) return std::nullopt;
  Path path{{*first}, {}, std::numeric_limits<uint32_t>::max(), 0, true, false};
  NodeId at = route.front().from;
  for (const RouteHop& hop : route) {
    const auto link = FindLink(fabric, hop);
    const auto to = FindNode(fabric, hop.to);
    if (!link || !to) return std::nullopt;
    if (hop.from != at) continue;
    at = hop.to;
    const Link& l = fabric.links[*link];
    path.nodes.push_back(*to);
    path.links.push_back(*link);
    path.width_mbit = std::min(path.width_mbit, l.speed_mbit);
    path.latency_us += std::min(l.latency_us, std::numeric_limits<uint32_t>::max() - path.latency_us);
    path.rdma = path.rdma && l.kind == PortKind::kRdma;
    path.last_resort = path.last_resort || l.last_resort;
  }
  return path;
}

bool ComesBefore(const Path& x, const Path& y) {
  const auto rank = [](const Path& path) {
    return std::tuple(path.last_resort, !path.rdma, -int64_t{path.width_mbit}, path.links.size());
  };
  return std::pair(rank(x), x.links) < std::pair(rank(y), y.links);
}

bool LeadsThroughDraining(const Fabric& fabric, const Path& path) {
  for (size_t i = 1; i + 1 < path.nodes.size(); ++i) {
    if (fabric.nodes[path.nodes[i]].draining) return true;
  }
  return false;
}

}  // namespace relay::fabric
