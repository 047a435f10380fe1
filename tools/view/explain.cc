#include "view/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>

#include "view/link_kind.h"
#include "view/quantity.h"

namespace relay::view {
namespace {

using fabric::Fabric;
using fabric::Link;
using fabric::Path;

// Whoever reads this wants the few that matter.
constexpr size_t kMostDisjoint = 8;
constexpr size_t kMostAlternatives = 16;

Path DirectPath(const Fabric& fabric, const Explanation& asked, size_t index) {
  const Link& link = fabric.links[index];
  Path out;
  out.nodes = {asked.from, asked.to};
  out.links = {index};
  out.width_mbit = link.speed_mbit;
  out.latency_us = link.latency_us;
  out.rdma = link.kind == fabric::PortKind::kRdma;
  out.last_resort = link.last_resort;
  return out;
}

std::optional<Result<Path>> PathIfNobodyDrained(const Fabric& fabric, const Explanation& asked) {
  if (std::none_of(fabric.nodes.begin(), fabric.nodes.end(), [](const auto& node) { return node.draining; })) return {};
  Fabric all = fabric;
  for (fabric::Node& node : all.nodes) node.draining = false;
  return fabric::FindPath(all, asked.from, asked.to);
}

std::vector<Path> Candidates(const Fabric& fabric, const Explanation& asked) {
  std::vector<Path> out;
  std::set<std::vector<size_t>> seen = {asked.path.links};
  const auto add = [&](const Result<Path>& path) {
    if (!path || !seen.insert(path->links).second) return false;
    out.push_back(*path);
    return true;
  };
  for (size_t link : asked.path.links) add(fabric::FindPathWithout(fabric, asked.from, asked.to, std::span(&link, 1)));
  std::vector<size_t> used = asked.path.links;
  for (size_t i = 0; i < kMostDisjoint; ++i) {
    auto path = fabric::FindPathWithout(fabric, asked.from, asked.to, used);
    if (!path) break;
    used.insert(used.end(), path->links.begin(), path->links.end());
    add(path);
  }
  if (auto path = PathIfNobodyDrained(fabric, asked)) add(*path);
  for (size_t i = 0; i < fabric.links.size(); ++i) {
    const Link& link = fabric.links[i];
    const bool direct = (link.a.node == asked.from && link.b.node == asked.to) ||
                        (link.b.node == asked.from && link.a.node == asked.to);
    if (direct) add(DirectPath(fabric, asked, i));
  }
  return out;
}

size_t UnknownLatencies(const Fabric& fabric, const Path& path) {
  return static_cast<size_t>(std::count_if(path.links.begin(), path.links.end(),
                                           [&](size_t link) { return fabric.links[link].latency_us == 0; }));
}

// In the order in which paths are chosen: the first difference is the reason.
std::string WhyNot(const Fabric& fabric, const Path& best, const Path& other) {
  const auto first_link = [&](auto&& test) {
    for (size_t link : other.links) {
      if (test(fabric.links[link])) return fabric::LinkText(fabric, link);
    }
    return std::string("a link");
  };
  for (size_t i = 1; i + 1 < other.nodes.size(); ++i) {
    const fabric::Node& node = fabric.nodes[other.nodes[i]];
    if (node.draining) return node.name + " is draining: it takes no new circuits through";
  }
  if (other.last_resort && !best.last_resort) {
    const std::string routed = first_link([](const Link& link) { return link.routed; });
    if (routed != "a link") return "last resort: " + routed + " is routed, there is no common wire";
    return "last resort: " + first_link([](const Link& link) { return link.last_resort; }) + " is the management LAN";
  }
  if (best.rdma && !other.rdma) {
    std::string why;
    const std::string where = first_link([&](const Link& link) {
      why = WhyTcp(fabric, link);
      return link.kind != fabric::PortKind::kRdma;
    });
    return "not RDMA-capable: " + where + " is tcp" + (why.empty() ? "" : ", because " + why);
  }
  if (other.width_mbit != best.width_mbit) {
    const std::string where = first_link([&](const Link& link) { return link.speed_mbit == other.width_mbit; });
    return (other.width_mbit == 0 ? "" : "narrower: ") + SpeedText(other.width_mbit) + " at " + where;
  }
  if (other.links.size() != best.links.size()) {
    return fmt::format("longer: {} instead of {}", CountText(other.links.size(), "link"), best.links.size());
  }
  if (UnknownLatencies(fabric, other) != UnknownLatencies(fabric, best)) {
    return "latency unknown at " + first_link([](const Link& link) { return link.latency_us == 0; });
  }
  if (other.latency_us != best.latency_us) {
    return fmt::format("slower: {} us of latency instead of {}", other.latency_us, best.latency_us);
  }
  return "as good: the first of equals is taken, on every node the same";
}

// Larger is worse, field by field.
auto Worth(const Fabric& fabric, const Path& path) {
  return std::tuple(path.last_resort, !path.rdma, ~path.width_mbit, path.links.size(), UnknownLatencies(fabric, path),
                    path.latency_us, path.links);
}

std::vector<bool> Reached(const Fabric& fabric, size_t from) {
  std::vector<bool> seen(fabric.nodes.size());
  std::vector<size_t> open = {from};
  seen[from] = true;
  std::vector<std::vector<size_t>> neighbours(fabric.nodes.size());
  for (const Link& link : fabric.links) {
    neighbours[link.a.node].push_back(link.b.node);
    neighbours[link.b.node].push_back(link.a.node);
  }
  while (!open.empty()) {
    const size_t at = open.back();
    open.pop_back();
    if (fabric.nodes[at].draining && at != from) continue;
    for (size_t next : neighbours[at]) {
      if (seen[next]) continue;
      seen[next] = true;
      open.push_back(next);
    }
  }
  return seen;
}

struct Side {
  std::vector<std::string>& reached;
  std::vector<std::string>& free;
};

void DescribeSide(const Fabric& fabric, size_t from, const Side& side) {
  std::set<std::pair<size_t, size_t>> linked;
  for (const Link& link : fabric.links) {
    linked.insert({link.a.node, link.a.port});
    linked.insert({link.b.node, link.b.port});
  }
  const std::vector<bool> reached = Reached(fabric, from);
  for (size_t i = 0; i < fabric.nodes.size(); ++i) {
    if (!reached[i]) continue;
    const fabric::Node& node = fabric.nodes[i];
    side.reached.push_back(node.name);
    for (size_t p = 0; p < node.ports.size(); ++p) {
      if (!linked.contains({i, p})) side.free.push_back(node.name + "/" + node.ports[p].name);
    }
  }
  std::sort(side.reached.begin(), side.reached.end());
  std::sort(side.free.begin(), side.free.end());
}

}  // namespace

Explanation Explain(const Fabric& fabric, size_t from, size_t to) {
  Explanation out;
  out.from = from;
  out.to = to;
  auto best = fabric::FindPath(fabric, from, to);
  out.reached = best.has_value();
  if (!out.reached) {
    DescribeSide(fabric, from, {out.reached_from, out.free_from});
    DescribeSide(fabric, to, {out.reached_to, out.free_to});
    return out;
  }
  out.path = std::move(*best);
  if (from == to) return out;
  std::vector<Path> others = Candidates(fabric, out);
  std::sort(others.begin(), others.end(),
            [&](const Path& a, const Path& b) { return Worth(fabric, a) < Worth(fabric, b); });
  if (others.size() > kMostAlternatives) others.resize(kMostAlternatives);
  for (Path& other : others) {
    std::string why = WhyNot(fabric, out.path, other);
    out.alternatives.push_back({std::move(other), std::move(why)});
  }
  return out;
}

}  // namespace relay::view
