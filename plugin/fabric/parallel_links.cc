// Which links a direct connection uses beside its own.
#include <algorithm>

#include "relay/fabric.h"

namespace relay::fabric {
namespace {

bool ShareAPort(const Link& x, const Link& y) { return x.a == y.a || x.a == y.b || x.b == y.a || x.b == y.b; }

bool ServesBeside(const Link& first, const Link& link) {
  const bool same_nodes = (link.a.node == first.a.node && link.b.node == first.b.node) ||
                          (link.a.node == first.b.node && link.b.node == first.a.node);
  // A slower one would add little to large messages, and small ones, each of which goes over one link, would wait for
  // it.
  const bool fast_enough = uint64_t{2} * link.speed_mbit >= first.speed_mbit;
  return same_nodes && fast_enough && link.kind == PortKind::kRdma && !link.routed &&
         link.last_resort == first.last_resort;
}

}  // namespace

std::vector<size_t> ParallelLinks(const Fabric& fabric, size_t link, std::span<const size_t> without) {
  const Link& first = fabric.links[link];
  std::vector<size_t> candidates;
  for (size_t i = 0; i < fabric.links.size(); ++i) {
    const bool left_out = i == link || std::find(without.begin(), without.end(), i) != without.end();
    if (!left_out && ServesBeside(first, fabric.links[i])) candidates.push_back(i);
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [&](size_t x, size_t y) { return fabric.links[x].speed_mbit > fabric.links[y].speed_mbit; });
  std::vector<size_t> out;
  for (size_t i : candidates) {
    const auto shares = [&](size_t other) { return ShareAPort(fabric.links[i], fabric.links[other]); };
    if (shares(link) || std::any_of(out.begin(), out.end(), shares)) continue;
    out.push_back(i);
    if (out.size() == kMaxParallelLinks) break;
  }
  return out;
}

}  // namespace relay::fabric
