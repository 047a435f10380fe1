// Questions to a fabric that need no search, and its parts in words.
#include <algorithm>

#include "fabric/link_facts.h"
#include "relay/fabric.h"

namespace relay::fabric {
namespace {

bool IsEnd(const Fabric& fabric, const LinkEnd& end, NodeId node, std::string_view port) {
  return fabric.nodes[end.node].id == node && PortAt(fabric, end).name == port;
}

std::string AddressesText(std::span<const SocketAddress> addresses) {
  std::string out;
  for (const SocketAddress& address : addresses) out += (out.empty() ? "" : ",") + address.HostText();
  return out.empty() ? "no address" : out;
}

// How much of a node this machine shows: an address counts, and twice where the interface has the port's name too,
// because addresses may be used again on other cables.
size_t Likeness(const Node& node, std::span<const LocalInterface> interfaces) {
  size_t score = 0;
  for (const Port& port : node.ports) {
    for (const SocketAddress& address : port.addresses) {
      size_t best = 0;
      for (const LocalInterface& local : interfaces) {
        const bool here = std::any_of(local.addresses.begin(), local.addresses.end(),
                                      [&](const SocketAddress& own) { return own.SameHost(address); });
        if (here) best = std::max<size_t>(best, local.name == port.name ? 2 : 1);
      }
      score += best;
    }
  }
  return score;
}

std::string InterfacesText(std::span<const LocalInterface> interfaces) {
  std::string out;
  for (const LocalInterface& local : interfaces) {
    out += (out.empty() ? "" : "; ") + local.name + " " + AddressesText(local.addresses);
  }
  return out.empty() ? "no interface" : out;
}

std::string NodesText(const Fabric& fabric) {
  constexpr size_t kEnough = 8;  // of a sentence
  std::string out;
  for (size_t i = 0; i < fabric.nodes.size(); ++i) {
    if (i == kEnough) return out + "; and " + std::to_string(fabric.nodes.size() - kEnough) + " more";
    out += (i ? "; " : "") + fabric.nodes[i].name;
    for (const Port& port : fabric.nodes[i].ports) out += " " + port.name + " " + AddressesText(port.addresses);
  }
  return out;
}

}  // namespace

Result<size_t> FindSelf(const Fabric& fabric, std::span<const LocalInterface> interfaces) {
  size_t best = 0;
  std::vector<size_t> winners;
  for (size_t i = 0; i < fabric.nodes.size(); ++i) {
    const size_t score = Likeness(fabric.nodes[i], interfaces);
    if (score == 0 || score < best) continue;
    if (score > best) winners.clear();
    best = score;
    winners.push_back(i);
  }
  if (winners.size() == 1) return winners.front();
  const std::string compared =
      "; this node shows " + InterfacesText(interfaces) + "; declared are " + NodesText(fabric);
  if (winners.empty()) {
    return Fail(ErrorCode::kUsage, "no node of the declared fabric has an address of this node" + compared);
  }
  std::string names;
  for (size_t winner : winners) names += (names.empty() ? "" : " and ") + fabric.nodes[winner].name;
  return Fail(ErrorCode::kUsage, "this node's addresses fit several declared nodes equally: " + names + compared);
}

std::optional<size_t> FindNode(const Fabric& fabric, NodeId id) {
  for (size_t i = 0; i < fabric.nodes.size(); ++i) {
    if (fabric.nodes[i].id == id) return i;
  }
  return std::nullopt;
}

std::optional<size_t> FindLink(const Fabric& fabric, const RouteHop& hop) {
  for (size_t i = 0; i < fabric.links.size(); ++i) {
    const Link& link = fabric.links[i];
    for (const auto& [from, to] : {std::pair(link.a, link.b), std::pair(link.b, link.a)}) {
      if (IsEnd(fabric, from, hop.from, hop.from_port) && IsEnd(fabric, to, hop.to, hop.to_port)) return i;
    }
  }
  return std::nullopt;
}

std::string PathText(const Fabric& fabric, const Path& path) {
  if (path.nodes.empty()) return "";
  std::string out = fabric.nodes[path.nodes[0]].name;
  for (size_t i = 0; i < path.links.size(); ++i) {
    const Link& link = fabric.links[path.links[i]];
    const bool forward = link.a.node == path.nodes[i];
    out += " " + PortAt(fabric, forward ? link.a : link.b).name + "--" +
           PortAt(fabric, forward ? link.b : link.a).name + " " + fabric.nodes[path.nodes[i + 1]].name;
  }
  return out;
}

std::string LinkText(const Fabric& fabric, size_t link) {
  const Link& l = fabric.links[link];
  return fabric.nodes[l.a.node].name + "-" + fabric.nodes[l.b.node].name + " (" + EndText(fabric, l.a) + " to " +
         EndText(fabric, l.b) + ")";
}

std::vector<RouteHop> RouteOf(const Fabric& fabric, const Path& path) {
  std::vector<RouteHop> route;
  for (size_t i = 0; i < path.links.size(); ++i) {
    const Link& link = fabric.links[path.links[i]];
    const bool forward = link.a.node == path.nodes[i];
    const LinkEnd& from = forward ? link.a : link.b;
    const LinkEnd& to = forward ? link.b : link.a;
    route.push_back(
        {fabric.nodes[from.node].id, fabric.nodes[to.node].id, PortAt(fabric, from).name, PortAt(fabric, to).name});
  }
  return route;
}

}  // namespace relay::fabric
