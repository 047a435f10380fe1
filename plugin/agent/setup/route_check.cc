#include "agent/setup/route_check.h"

#include <algorithm>
#include <set>

#include "agent/node/refusal.h"

namespace relay::agent {
namespace {

// Every link exists here, each starts where the last one ended, no node comes twice.
bool IsPath(const LocalNode& node, const OpenMessage& open) {
  std::set<NodeId> seen;
  NodeId at = open.source;
  for (const RouteHop& hop : open.route) {
    if (hop.from != at || !seen.insert(at).second || !fabric::FindLink(node.fabric, hop)) return false;
    at = hop.to;
  }
  return seen.insert(at).second;
}

bool CameOver(const LocalNode& node, const RouteHop& hop, const Arrival& arrival) {
  auto link = fabric::FindLink(node.fabric, hop);
  auto ends = link ? EndsFrom(node, *link) : std::nullopt;
  if (!ends || node.InterfaceOf(ends->near.port) != arrival.interface) return false;
  const auto& far = node.fabric.nodes[ends->far.node].ports[ends->far.port].addresses;
  return std::any_of(far.begin(), far.end(), [&](const SocketAddress& a) { return a.SameHost(arrival.from); });
}

}  // namespace

std::optional<RefusedMessage> CheckRoute(const LocalNode& node, const OpenMessage& open, const Arrival& arrival) {
  if (node.draining && !open.inquiry) {
    return Refuse(node, RefusedCode::kDraining, Again::kMayHelp,
                  "the agent of " + node.name() + " is ending and takes no new circuits");
  }
  if (node.declared && open.agreement != 0 && open.agreement != node.agreement) {
    return RefuseDisagreement(node, {open.source, open.source_name, open.agreement});
  }
  auto forbid = [&](const std::string& why) {
    return Refuse(node, RefusedCode::kForbidden, Again::kCannotHelp,
                  node.name() + " refuses a circuit from " + node.NameOf(open.source) + ": " + why);
  };
  if (open.route.empty() || open.route[open.hop].to != node.node().id) return forbid("it is for another node");
  if (!IsPath(node, open)) {
    RefusedMessage refused = forbid(std::string("its route is no path of ") + node.FabricText());
    // The graph of a discovered fabric may be a moment behind the source's.
    refused.final = node.declared;
    return refused;
  }
  const RouteHop& hop = open.route[open.hop];
  if (!CameOver(node, hop, arrival)) {
    return forbid("it should come over link " + node.NameOf(hop.from) + "-" + node.name() + " but came from " +
                  arrival.from.HostText() + " on " + arrival.interface);
  }
  return std::nullopt;
}

std::string RouteText(const LocalNode& node, const OpenMessage& open) {
  fabric::Path path;
  for (const RouteHop& hop : open.route) {
    auto from = fabric::FindNode(node.fabric, hop.from);
    auto link = fabric::FindLink(node.fabric, hop);
    if (!from || !link) return open.source_name;
    path.nodes.push_back(*from);
    path.links.push_back(*link);
  }
  auto last = fabric::FindNode(node.fabric, open.route.empty() ? open.source : open.route.back().to);
  if (!last) return open.source_name;
  path.nodes.push_back(*last);
  return fabric::PathText(node.fabric, path);
}

}  // namespace relay::agent
