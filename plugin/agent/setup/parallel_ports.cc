#include "agent/setup/parallel_ports.h"

#include <algorithm>

namespace relay::agent {
namespace {

// The port has no device where the link does not end at one here.
control::ParallelPort ParallelPortOf(const LocalNode& node, size_t link) {
  control::ParallelPort out;
  const auto ends = EndsFrom(node, link);
  const auto verbs = ends ? node.VerbsOf(ends->near.port) : std::nullopt;
  if (!verbs) return out;
  out.device = verbs->device;
  out.port = verbs->port;
  out.speed_mbit = node.fabric.links[link].speed_mbit;
  if (const auto targets = TargetsOf(node, *ends); !targets.empty()) {
    out.addresses = {targets.front().near, targets.front().far};
  }
  return out;
}

bool OnSameDevice(const control::ParallelPort& x, const control::ParallelPort& y) {
  return x.device == y.device && x.port == y.port;
}

}  // namespace

ParallelPorts ParallelPortsFrom(const LocalNode& node, const fabric::Path& path, std::span<const size_t> without) {
  ParallelPorts out;
  const size_t first = path.links.front();
  // Two links by way of one port (VLANs) are one wire.
  std::vector<control::ParallelPort> used = {ParallelPortOf(node, first)};
  for (size_t link : fabric::ParallelLinks(node.fabric, first, without)) {
    control::ParallelPort port = ParallelPortOf(node, link);
    const auto same = [&](const control::ParallelPort& other) { return OnSameDevice(port, other); };
    if (port.device.empty() || std::any_of(used.begin(), used.end(), same)) continue;
    used.push_back(port);
    out.hops.push_back(fabric::RouteOf(node.fabric, {.nodes = path.nodes, .links = {link}}).front());
    out.ports.push_back(std::move(port));
  }
  return out;
}

std::vector<control::ParallelPort> ParallelPortsTo(const LocalNode& node, const OpenMessage& open, std::string& note) {
  std::vector<control::ParallelPort> out;
  std::vector<size_t> seen;
  if (auto first = fabric::FindLink(node.fabric, open.route.front())) seen.push_back(*first);
  for (const RouteHop& hop : open.parallel) {
    out.emplace_back();
    const auto link = fabric::FindLink(node.fabric, hop);
    const bool fresh = link && std::find(seen.begin(), seen.end(), *link) == seen.end();
    if (fresh) {
      seen.push_back(*link);
      out.back() = ParallelPortOf(node, *link);
    }
    if (!out.back().device.empty()) continue;
    note += (note.empty() ? "" : "; ") + ("parallel link " + hop.from_port + "--" + hop.to_port + " is not used: ") +
            node.name() + (link ? " has no RDMA device for it" : " knows no such link");
  }
  return out;
}

}  // namespace relay::agent
