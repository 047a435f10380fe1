// Links and paths by the names of the ports that they join: what outlives a change of the fabric. Pure values.
#pragma once
#include <compare>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "relay/fabric.h"

namespace relay::fabric {

// The end of the lower node id first, whichever side names it.
struct LinkName {
  NodeId a = 0;
  std::string a_port;
  NodeId b = 0;
  std::string b_port;
  auto operator<=>(const LinkName&) const = default;
};
LinkName NameOf(const RouteHop& hop);
LinkName NameOf(const Fabric& fabric, size_t link);
// Ascending, each once.
std::vector<LinkName> NamesOf(std::span<const RouteHop> route);
// Whether every link of `names` is among `others`; both as NamesOf gives them.
bool AllAmong(std::span<const LinkName> names, std::span<const LinkName> others);

// The path that this route describes. Hops that do not go on where the last one ended (links parallel to a direct path)
// are passed over. nullopt: the fabric does not have every link of it, parallel ones included, or there is none.
std::optional<Path> PathOf(const Fabric& fabric, std::span<const RouteHop> route);
// In FindPath's order, latency aside: what is measured comes and goes with the load, and nothing should move for it.
bool ComesBefore(const Path& x, const Path& y);
// Whether it leads through a node that takes no new circuits through it.
bool LeadsThroughDraining(const Fabric& fabric, const Path& path);

}  // namespace relay::fabric
