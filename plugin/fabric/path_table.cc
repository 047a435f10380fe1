#include "fabric/path_table.h"

#include <algorithm>
#include <limits>
#include <tuple>

namespace relay::fabric {
namespace {

constexpr size_t kFar = std::numeric_limits<size_t>::max() / 4;  // sums of some do not overflow

bool SameLink(const Link& x, const Link& y) {
  return x.speed_mbit == y.speed_mbit && x.latency_us == y.latency_us && x.kind == y.kind &&
         x.last_resort == y.last_resort;
}

// Whether a link that was `before` is nowhere better now.
bool NoBetter(const Link& before, const Link& now) {
  const auto latency = [](const Link& link) { return std::pair(link.latency_us == 0, link.latency_us); };
  return now.last_resort >= before.last_resort && (now.kind == before.kind || before.kind == PortKind::kRdma) &&
         now.speed_mbit <= before.speed_mbit && latency(now) >= latency(before);
}

std::vector<size_t> DistancesFrom(const Fabric& fabric, size_t from) {
  std::vector<std::vector<size_t>> neighbours(fabric.nodes.size());
  for (const Link& link : fabric.links) {
    neighbours[link.a.node].push_back(link.b.node);
    neighbours[link.b.node].push_back(link.a.node);
  }
  std::vector<size_t> distances(fabric.nodes.size(), kFar);
  distances[from] = 0;
  std::vector<size_t> queue{from};
  for (size_t head = 0; head < queue.size(); ++head) {
    for (size_t neighbour : neighbours[queue[head]]) {
      if (distances[neighbour] != kFar) continue;
      distances[neighbour] = distances[queue[head]] + 1;
      queue.push_back(neighbour);
    }
  }
  return distances;
}

// What a change means for paths from one node.
class Concern {
 public:
  Concern(const Fabric& before, const Fabric& after, const FabricChange& change, size_t from)
      : before_(before), after_(after), change_(change), better_(change.added_links) {
    for (size_t i = 0; i < before.links.size(); ++i) {
      const size_t now = change.links[i];
      if (now != FabricChange::kGone && !NoBetter(before.links[i], after.links[now])) better_.push_back(now);
    }
    std::vector<bool> reopened(after.nodes.size(), false);
    for (size_t i = 0; i < before.nodes.size(); ++i) {
      const size_t now = change.nodes[i];
      if (now != FabricChange::kGone) reopened[now] = before.nodes[i].draining && !after.nodes[now].draining;
    }
    for (size_t i = 0; i < after.links.size(); ++i) {
      if (reopened[after.links[i].a.node] || reopened[after.links[i].b.node]) better_.push_back(i);
    }
    if (!better_.empty()) distances_ = DistancesFrom(after, from);
  }

  // The path with the numbers of the new fabric; nullopt when it must be looked for anew.
  std::optional<Path> Keep(const Path& path) const {
    Path kept = path;
    const bool to_oneself = kept.links.empty();
    for (size_t& node : kept.nodes) {
      node = change_.nodes[node];
      if (node == FabricChange::kGone) return std::nullopt;
    }
    for (size_t i = 1; i + 1 < kept.nodes.size(); ++i) {
      if (after_.nodes[kept.nodes[i]].draining) return std::nullopt;
    }
    for (size_t i = 0; i < kept.links.size(); ++i) {
      kept.links[i] = change_.links[path.links[i]];
      if (kept.links[i] == FabricChange::kGone) return std::nullopt;
      if (!SameLink(before_.links[path.links[i]], after_.links[kept.links[i]])) return std::nullopt;
    }
    if (to_oneself) return kept;
    const bool bettered = std::any_of(better_.begin(), better_.end(), [&](size_t link) { return Betters(link, kept); });
    return bettered ? std::nullopt : std::optional(std::move(kept));
  }

 private:
  // The least number of links of a way over this one; distances from the source bound those between any two nodes.
  size_t LeastHops(const Link& link, size_t to) const {
    const auto over = [&](size_t near, size_t far) {
      const size_t x = distances_[far], y = distances_[to];
      const size_t rest = far == to ? 0 : std::max<size_t>(1, std::max(x, y) - std::min(x, y));
      return distances_[near] + 1 + rest;
    };
    return std::min(over(link.a.node, link.b.node), over(link.b.node, link.a.node));
  }

  // Whether a path over this link might come before `path`: no path is better than its links one by one.
  bool Betters(size_t index, const Path& path) const {
    const Link& link = after_.links[index];
    const auto best = std::tuple(link.last_resort, link.kind != PortKind::kRdma, -int64_t{link.speed_mbit},
                                 LeastHops(link, path.nodes.back()));
    return best <= std::tuple(path.last_resort, !path.rdma, -int64_t{path.width_mbit}, path.links.size());
  }

  const Fabric& before_;
  const Fabric& after_;
  const FabricChange& change_;
  std::vector<size_t> better_;  // links that came or became better
  std::vector<size_t> distances_;
};

}  // namespace

Result<Path> PathTable::To(const Fabric& fabric, size_t to) {
  if (from_ >= fabric.nodes.size()) {
    return Fail(ErrorCode::kNoPath, "no path to " + fabric.nodes[to].name + ": the fabric does not have this node");
  }
  if (const auto known = paths_.find(to); known != paths_.end()) return known->second;
  if (!search_) search_.emplace(fabric, from_);
  ++searches_;
  Result<Path> path = search_->To(fabric, to);
  if (path) paths_.emplace(to, *path);
  return path;
}

void PathTable::Changed(const Fabric& before, const Fabric& after) {
  search_.reset();
  std::map<size_t, Path> known = std::exchange(paths_, {});
  if (!self_ && from_ < before.nodes.size()) self_ = before.nodes[from_].id;
  from_ = self_ ? FindNode(after, *self_).value_or(FabricChange::kGone) : FabricChange::kGone;
  if (from_ == FabricChange::kGone || known.empty()) return;
  const FabricChange change = Compare(before, after);
  // Among equals the first links win: where their order changed, other paths may.
  if (!change.same_order) return;
  const Concern concern(before, after, change, from_);
  for (const auto& [to, path] : known) {
    const size_t now = change.nodes[to];
    if (auto kept = concern.Keep(path)) paths_.emplace(now, *std::move(kept));
  }
}

}  // namespace relay::fabric
