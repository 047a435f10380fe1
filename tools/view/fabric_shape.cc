#include "view/fabric_shape.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace relay::view {
namespace {

using Neighbours = std::vector<std::set<size_t>>;

enum class LastResort : bool { kWithout, kWith };

Neighbours NeighboursOf(const fabric::Fabric& fabric, LastResort last_resort) {
  Neighbours out(fabric.nodes.size());
  for (const fabric::Link& link : fabric.links) {
    if (link.last_resort && last_resort == LastResort::kWithout) continue;
    out[link.a.node].insert(link.b.node);
    out[link.b.node].insert(link.a.node);
  }
  return out;
}

// Every node once, from `first` over `second` on, while there is one way to go.
std::vector<size_t> Walk(const Neighbours& neighbours, size_t first, size_t second) {
  std::vector<size_t> out = {first};
  std::vector<bool> seen(neighbours.size());
  seen[first] = true;
  for (size_t at = second; !seen[at];) {
    seen[at] = true;
    out.push_back(at);
    for (size_t next : neighbours[at]) {
      if (!seen[next]) {
        at = next;
        break;
      }
    }
  }
  return out;
}

std::vector<size_t> ByName(const fabric::Fabric& fabric) {
  std::vector<size_t> out(fabric.nodes.size());
  std::iota(out.begin(), out.end(), size_t{0});
  std::stable_sort(out.begin(), out.end(),
                   [&](size_t a, size_t b) { return fabric.nodes[a].name < fabric.nodes[b].name; });
  return out;
}

}  // namespace

Order OrderOf(const fabric::Fabric& fabric) {
  const std::vector<size_t> by_name = ByName(fabric);
  if (by_name.empty()) return {FabricShape::kOther, {}};
  if (by_name.size() == 1) return {FabricShape::kChain, by_name};
  for (LastResort last_resort : {LastResort::kWithout, LastResort::kWith}) {
    const Neighbours neighbours = NeighboursOf(fabric, last_resort);
    const auto degree = [&](size_t node) { return neighbours[node].size(); };
    if (std::any_of(by_name.begin(), by_name.end(), [&](size_t node) { return degree(node) == 0; })) continue;
    if (std::any_of(by_name.begin(), by_name.end(), [&](size_t node) { return degree(node) > 2; })) break;
    const auto end = std::find_if(by_name.begin(), by_name.end(), [&](size_t node) { return degree(node) == 1; });
    const size_t first = end != by_name.end() ? *end : by_name.front();
    const size_t second =
        *std::min_element(neighbours[first].begin(), neighbours[first].end(),
                          [&](size_t a, size_t b) { return fabric.nodes[a].name < fabric.nodes[b].name; });
    std::vector<size_t> walked = Walk(neighbours, first, second);
    if (walked.size() != by_name.size()) continue;  // several pieces
    return {end != by_name.end() ? FabricShape::kChain : FabricShape::kRing, std::move(walked)};
  }
  return {FabricShape::kOther, by_name};
}

std::vector<size_t> LinksBetween(const fabric::Fabric& fabric, size_t a, size_t b) {
  std::vector<size_t> out;
  for (size_t i = 0; i < fabric.links.size(); ++i) {
    const fabric::Link& link = fabric.links[i];
    if ((link.a.node == a && link.b.node == b) || (link.a.node == b && link.b.node == a)) out.push_back(i);
  }
  return out;
}

}  // namespace relay::view
