#include "fabric/change.h"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "fabric/hash.h"
#include "fabric/link_facts.h"

namespace relay::fabric {
namespace {

// Both ends, the one of the lower id first.
struct LinkKey {
  NodeId a = 0, b = 0;
  std::string_view a_port, b_port;
  bool operator==(const LinkKey&) const = default;
};

struct LinkKeyHash {
  size_t operator()(const LinkKey& key) const {
    return static_cast<size_t>(HashBytes(key.a_port, Mix(key.a)) ^ Mix(HashBytes(key.b_port, Mix(key.b))));
  }
};

LinkKey KeyOf(const Fabric& fabric, const Link& link) {
  const LinkKey key{fabric.nodes[link.a.node].id, fabric.nodes[link.b.node].id, PortAt(fabric, link.a).name,
                    PortAt(fabric, link.b).name};
  return key.a < key.b ? key : LinkKey{key.b, key.a, key.b_port, key.a_port};
}

std::vector<size_t> CompareNodes(const Fabric& before, const Fabric& after) {
  std::unordered_map<NodeId, size_t> places;
  for (size_t i = 0; i < after.nodes.size(); ++i) places.emplace(after.nodes[i].id, i);
  std::vector<size_t> nodes;
  for (const Node& node : before.nodes) {
    const auto place = places.find(node.id);
    nodes.push_back(place == places.end() ? FabricChange::kGone : place->second);
  }
  return nodes;
}

}  // namespace

FabricChange Compare(const Fabric& before, const Fabric& after) {
  FabricChange change;
  change.nodes = CompareNodes(before, after);
  std::unordered_map<LinkKey, size_t, LinkKeyHash> places;
  for (size_t i = 0; i < after.links.size(); ++i) places.emplace(KeyOf(after, after.links[i]), i);
  std::vector<bool> known(after.links.size(), false);
  size_t next = 0;
  for (const Link& link : before.links) {
    const auto place = places.find(KeyOf(before, link));
    if (place == places.end()) {
      change.links.push_back(FabricChange::kGone);
      continue;
    }
    change.links.push_back(place->second);
    known[place->second] = true;
    change.same_order &= place->second >= next;
    next = place->second + 1;
  }
  for (size_t i = 0; i < known.size(); ++i) {
    if (!known[i]) change.added_links.push_back(i);
  }
  return change;
}

}  // namespace relay::fabric
