#include "fabric/path_search.h"

#include <algorithm>
#include <limits>
#include <queue>
#include <tuple>

#include "fabric/link_facts.h"

namespace relay::fabric {
namespace {

constexpr uint32_t kUnreached = std::numeric_limits<uint32_t>::max();
// Widths for which layers are kept. A fabric has a handful; where each link has its own, memory stays bounded.
constexpr size_t kMostLayers = 16;
constexpr size_t kEnoughNames = 16;  // of a sentence

std::string NamesText(const Fabric& fabric, const std::vector<size_t>& nodes) {
  std::string names;
  for (size_t i = 0; i < std::min(nodes.size(), kEnoughNames); ++i) {
    names += (i ? ", " : "") + fabric.nodes[nodes[i]].name;
  }
  if (nodes.size() > kEnoughNames) names += " and " + std::to_string(nodes.size() - kEnoughNames) + " more";
  return names;
}

}  // namespace

PathSearch::PathSearch(const Fabric& fabric, size_t from, std::span<const size_t> without) : from_(from) {
  std::vector<bool> left_out(fabric.links.size(), false);
  for (size_t link : without) left_out[link] = true;
  first_.assign(fabric.nodes.size() + 1, 0);
  for (size_t i = 0; i < fabric.links.size(); ++i) {
    const Link& link = fabric.links[i];
    edges_.push_back({link.speed_mbit, link.latency_us, link.kind == PortKind::kRdma, link.last_resort});
    speeds_.push_back(link.speed_mbit);
    if (left_out[i]) continue;
    ++first_[link.a.node + 1];
    ++first_[link.b.node + 1];
  }
  for (size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
  steps_.resize(first_.back());
  std::vector<uint32_t> next(first_.begin(), first_.end() - 1);
  for (size_t i = 0; i < fabric.links.size(); ++i) {
    const Link& link = fabric.links[i];
    if (left_out[i]) continue;
    steps_[next[link.a.node]++] = {static_cast<uint32_t>(i), static_cast<uint32_t>(link.b.node)};
    steps_[next[link.b.node]++] = {static_cast<uint32_t>(i), static_cast<uint32_t>(link.a.node)};
  }
  std::sort(speeds_.begin(), speeds_.end());
  speeds_.erase(std::unique(speeds_.begin(), speeds_.end()), speeds_.end());
  for (size_t i = 0; i < fabric.nodes.size(); ++i) closed_.push_back(fabric.nodes[i].draining && i != from);
}

std::span<const PathSearch::Step> PathSearch::StepsFrom(size_t node) const {
  if (closed_[node]) return {};
  return std::span(steps_).subspan(first_[node], first_[node + 1] - first_[node]);
}

bool PathSearch::Admits(const Filter& filter, size_t link) const {
  const Edge& edge = edges_[link];
  return (filter.last_resort || !edge.last_resort) && (!filter.rdma || edge.rdma) && edge.speed_mbit >= filter.width;
}

const PathSearch::Widths& PathSearch::Widest(bool last_resort, bool rdma) {
  std::optional<Widths>& widest = widest_[(last_resort ? 2 : 0) + (rdma ? 1 : 0)];
  if (!widest) widest = WidestWays({last_resort, rdma, 0});
  return *widest;
}

PathSearch::Widths PathSearch::WidestWays(const Filter& filter) const {
  Widths widest(closed_.size(), -1);
  std::vector<bool> settled(closed_.size(), false);
  std::priority_queue<std::pair<int64_t, size_t>> open;
  widest[from_] = std::numeric_limits<int64_t>::max();
  open.emplace(widest[from_], from_);
  while (!open.empty()) {
    const auto [width, node] = open.top();
    open.pop();
    if (settled[node]) continue;
    settled[node] = true;
    for (const Step& step : StepsFrom(node)) {
      if (settled[step.neighbour] || !Admits(filter, step.link)) continue;
      const int64_t through = std::min<int64_t>(width, edges_[step.link].speed_mbit);
      if (through <= widest[step.neighbour]) continue;
      widest[step.neighbour] = through;
      open.emplace(through, step.neighbour);
    }
  }
  return widest;
}

const PathSearch::Layers& PathSearch::Shortest(const Filter& filter) {
  const auto known = layers_.find(filter);
  if (known != layers_.end()) return known->second;
  if (layers_.size() == kMostLayers) layers_.clear();
  return layers_.emplace(filter, ShortestWays(filter)).first->second;
}

PathSearch::Layers PathSearch::ShortestWays(const Filter& filter) const {
  Layers layers(closed_.size());
  for (Reached& node : layers) node.hops = kUnreached;
  layers[from_] = Reached{};
  std::vector<uint32_t> layer{static_cast<uint32_t>(from_)}, next;
  for (uint32_t hops = 1; !layer.empty(); ++hops, layer.swap(next)) {
    next.clear();
    for (uint32_t node : layer) {
      for (const Step& step : StepsFrom(node)) {
        Reached& there = layers[step.neighbour];
        if (there.hops < hops || !Admits(filter, step.link)) continue;
        const uint32_t latency = edges_[step.link].latency_us;
        const Reached via{
            hops, layers[node].unknown + (latency == 0 ? 1 : 0), layers[node].latency_us + latency, 0, step.link, node};
        if (there.hops == kUnreached) {
          there = via;
          next.push_back(step.neighbour);
        } else {
          Improve(there, via, layers);
        }
      }
    }
    RankLayer(next, layers);
  }
  return layers;
}

void PathSearch::Improve(Reached& now, const Reached& via, const Layers& layers) const {
  const auto better = std::tuple(via.unknown, via.latency_us, layers[via.previous].rank, via.link);
  const auto known = std::tuple(now.unknown, now.latency_us, layers[now.previous].rank, now.link);
  if (better < known) now = via;
}

// All paths to one layer are equally long, so the order of their link lists is the order of (where the rest of the
// list ranks, last link).
void PathSearch::RankLayer(std::vector<uint32_t>& layer, Layers& layers) const {
  std::sort(layer.begin(), layer.end(), [&](uint32_t x, uint32_t y) {
    return std::pair(layers[layers[x].previous].rank, layers[x].link) <
           std::pair(layers[layers[y].previous].rank, layers[y].link);
  });
  for (size_t i = 0; i < layer.size(); ++i) layers[layer[i]].rank = static_cast<uint32_t>(i);
}

// This filter, or, where so wide a way has more links than a route holds, the widest that leads there with fewer: the
// narrower the links that are admitted, the shorter the way.
std::optional<PathSearch::Filter> PathSearch::WithinReach(Filter filter, size_t to) {
  const auto short_enough = [&](uint32_t width) {
    return Shortest({filter.last_resort, filter.rdma, width})[to].hops <= kMaxHops;
  };
  if (short_enough(filter.width)) return filter;
  const auto end = std::lower_bound(speeds_.begin(), speeds_.end(), filter.width);
  const auto too_wide = std::partition_point(speeds_.begin(), end, short_enough);
  if (too_wide == speeds_.begin()) return std::nullopt;
  filter.width = *(too_wide - 1);
  return filter;
}

Path PathSearch::Trace(const Filter& filter, size_t to) {
  const Layers& layers = Shortest(filter);
  Path path;
  path.width_mbit = filter.width;
  path.latency_us =
      static_cast<uint32_t>(std::min<uint64_t>(layers[to].latency_us, std::numeric_limits<uint32_t>::max()));
  path.rdma = filter.rdma;
  path.last_resort = filter.last_resort;
  for (size_t node = to; node != from_; node = layers[node].previous) {
    path.nodes.push_back(node);
    path.links.push_back(layers[node].link);
  }
  path.nodes.push_back(from_);
  std::reverse(path.nodes.begin(), path.nodes.end());
  std::reverse(path.links.begin(), path.links.end());
  return path;
}

Result<Path> PathSearch::To(const Fabric& fabric, size_t to) {
  if (to == from_) return Path{{from_}, {}, 0, 0, false, false};
  bool reached = false;
  for (bool last_resort : {false, true}) {
    for (bool rdma : {true, false}) {
      const int64_t width = Widest(last_resort, rdma)[to];
      if (width < 0) continue;
      reached = true;
      const auto filter = WithinReach({last_resort, rdma, static_cast<uint32_t>(width)}, to);
      if (filter) return Trace(*filter, to);
    }
  }
  if (reached) return TooLong(fabric, to);
  return NoPath(fabric, to);
}

tl::unexpected<Error> PathSearch::TooLong(const Fabric& fabric, size_t to) {
  const uint32_t hops = Shortest({true, false, 0})[to].hops;
  return Fail(ErrorCode::kNoPath, "the path from " + fabric.nodes[from_].name + " to " + fabric.nodes[to].name +
                                      " has " + std::to_string(hops) + " links, more than the limit of " +
                                      std::to_string(kMaxHops));
}

tl::unexpected<Error> PathSearch::NoPath(const Fabric& fabric, size_t to) {
  const Widths& widest = Widest(true, false);
  std::vector<size_t> reached, draining;
  for (size_t i = 0; i < widest.size(); ++i) {
    if (i == from_ || widest[i] < 0) continue;
    reached.push_back(i);
    if (closed_[i]) draining.push_back(i);
  }
  const std::string& from = fabric.nodes[from_].name;
  std::string what = "no path from " + from + " to " + fabric.nodes[to].name + ": the links of " + from + " reach " +
                     (reached.empty() ? "no other node" : "only " + NamesText(fabric, reached));
  if (!draining.empty()) {
    what += ", of which " + NamesText(fabric, draining) +
            (draining.size() == 1 ? " drains and takes" : " drain and take") + " nothing through";
  }
  return Fail(ErrorCode::kNoPath, std::move(what));
}

Result<Path> FindPath(const Fabric& fabric, size_t from, size_t to) { return PathSearch(fabric, from).To(fabric, to); }

Result<Path> FindPathWithout(const Fabric& fabric, size_t from, size_t to, std::span<const size_t> links) {
  Result<Path> path = PathSearch(fabric, from, links).To(fabric, to);
  if (path || links.empty()) return path;
  std::string names;
  for (size_t i = 0; i < std::min(links.size(), kEnoughNames); ++i)
    names += (i ? ", " : "") + LinkText(fabric, links[i]);
  path.error().what += ", without " + names;
  return path;
}

}  // namespace relay::fabric
