#include "fabric/path_search.h"

#include <algorithm>
#include <limits>
#include <queue>
#include <tuple>

#include "fabric/link_facts.h"

namespace relay::fabric {
namespace {

constexpr uint32_t kUnreached = std::numeric_limits<uint32_t>::max();

}  // namespace

PathSearch::PathSearch(const Fabric& fabric, size_t from) : fabric_(fabric), from_(from) {
  first_.assign(fabric.nodes.size() + 1, 0);
  for (const Link& link : fabric.links) {
    ++first_[link.a.node + 1];
    ++first_[link.b.node + 1];
  }
  for (size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
  steps_.resize(fabric.links.size() * 2);
  std::vector<size_t> next(first_.begin(), first_.end() - 1);
  for (size_t i = 0; i < fabric.links.size(); ++i) {
    const Link& link = fabric.links[i];
    steps_[next[link.a.node]++] = {i, link.b.node};
    steps_[next[link.b.node]++] = {i, link.a.node};
  }
  widest_rdma_ = WidestWays(true);
  widest_ = WidestWays(false);
}

bool PathSearch::Admits(const Filter& filter, size_t link) const {
  const Link& l = fabric_.links[link];
  return (!filter.rdma || l.kind == PortKind::kRdma) && l.speed_mbit >= filter.width;
}

std::vector<int64_t> PathSearch::WidestWays(bool rdma) const {
  const Filter filter{rdma, 0};
  std::vector<int64_t> widest(fabric_.nodes.size(), -1);
  std::vector<bool> settled(fabric_.nodes.size(), false);
  std::priority_queue<std::pair<int64_t, size_t>> open;
  widest[from_] = std::numeric_limits<int64_t>::max();
  open.emplace(widest[from_], from_);
  while (!open.empty()) {
    const auto [width, node] = open.top();
    open.pop();
    if (settled[node]) continue;
    settled[node] = true;
    for (size_t i = first_[node]; i < first_[node + 1]; ++i) {
      const Step& step = steps_[i];
      if (settled[step.neighbour] || !Admits(filter, step.link)) continue;
      const int64_t through = std::min<int64_t>(width, fabric_.links[step.link].speed_mbit);
      if (through <= widest[step.neighbour]) continue;
      widest[step.neighbour] = through;
      open.emplace(through, step.neighbour);
    }
  }
  return widest;
}

PathSearch::Layers PathSearch::ShortestWays(const Filter& filter) const {
  Layers layers(fabric_.nodes.size());
  for (Reached& node : layers) node.hops = kUnreached;
  layers[from_] = Reached{};
  std::vector<size_t> layer{from_}, next;
  for (uint32_t hops = 1; !layer.empty(); ++hops, layer.swap(next)) {
    next.clear();
    for (size_t node : layer) {
      for (size_t i = first_[node]; i < first_[node + 1]; ++i) {
        const Step& step = steps_[i];
        Reached& there = layers[step.neighbour];
        if (there.hops < hops || !Admits(filter, step.link)) continue;
        const uint32_t latency = fabric_.links[step.link].latency_us;
        const Reached via{
            hops, layers[node].unknown + (latency == 0 ? 1 : 0), layers[node].latency_us + latency, 0, step.link, node};
        if (there.hops == kUnreached) {
          there = via;
          next.push_back(step.neighbour);
        } else {
          Improve(there, via, step, layers);
        }
      }
    }
    RankLayer(next, layers);
  }
  return layers;
}

bool PathSearch::Improve(Reached& now, const Reached& via, const Step& step, const Layers& layers) const {
  const auto better = std::tuple(via.unknown, via.latency_us, layers[via.previous].rank, step.link);
  const auto known = std::tuple(now.unknown, now.latency_us, layers[now.previous].rank, now.link);
  if (better >= known) return false;
  now = via;
  return true;
}

// All paths to one layer are equally long, so the order of their link lists is the order of (where the rest of the
// list ranks, last link).
void PathSearch::RankLayer(std::vector<size_t>& layer, Layers& layers) const {
  std::sort(layer.begin(), layer.end(), [&](size_t x, size_t y) {
    return std::pair(layers[layers[x].previous].rank, layers[x].link) <
           std::pair(layers[layers[y].previous].rank, layers[y].link);
  });
  for (size_t i = 0; i < layer.size(); ++i) layers[layer[i]].rank = i;
}

Path PathSearch::Trace(const Layers& layers, size_t to, const Filter& filter) const {
  Path path;
  path.width_mbit = filter.width;
  path.latency_us =
      static_cast<uint32_t>(std::min<uint64_t>(layers[to].latency_us, std::numeric_limits<uint32_t>::max()));
  path.rdma = filter.rdma;
  for (size_t node = to; node != from_; node = layers[node].previous) {
    path.nodes.push_back(node);
    path.links.push_back(layers[node].link);
  }
  path.nodes.push_back(from_);
  std::reverse(path.nodes.begin(), path.nodes.end());
  std::reverse(path.links.begin(), path.links.end());
  return path;
}

Result<Path> PathSearch::To(size_t to) {
  if (to == from_) return Path{{from_}, {}, 0, 0, false};
  const bool rdma = widest_rdma_[to] >= 0;
  const int64_t width = rdma ? widest_rdma_[to] : widest_[to];
  if (width < 0) return NoPath(to);
  const Filter filter{rdma, static_cast<uint32_t>(width)};
  auto found = layers_.find(filter);
  if (found == layers_.end()) found = layers_.emplace(filter, ShortestWays(filter)).first;
  const uint32_t hops = found->second[to].hops;
  if (hops > kMaxHops) {
    return Fail(ErrorCode::kNoPath, "the path from " + fabric_.nodes[from_].name + " to " + fabric_.nodes[to].name +
                                        " has " + std::to_string(hops) + " links, more than the limit of " +
                                        std::to_string(kMaxHops));
  }
  return Trace(found->second, to, filter);
}

tl::unexpected<Error> PathSearch::NoPath(size_t to) const {
  constexpr size_t kEnough = 16;  // of a sentence
  std::string names;
  size_t reached = 0;
  for (size_t i = 0; i < fabric_.nodes.size(); ++i) {
    if (i == from_ || widest_[i] < 0) continue;
    if (++reached <= kEnough) names += (names.empty() ? "" : ", ") + fabric_.nodes[i].name;
  }
  if (reached > kEnough) names += " and " + std::to_string(reached - kEnough) + " more";
  const std::string& from = fabric_.nodes[from_].name;
  return Fail(ErrorCode::kNoPath, "no path from " + from + " to " + fabric_.nodes[to].name + ": the links of " + from +
                                      " reach " + (names.empty() ? "no other node" : "only " + names));
}

Result<Path> FindPath(const Fabric& fabric, size_t from, size_t to) { return PathSearch(fabric, from).To(to); }

}  // namespace relay::fabric
