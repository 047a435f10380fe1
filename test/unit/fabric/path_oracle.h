// The slow way to the best path: every loop-free way, one by one.
#pragma once
#include <rapidcheck.h>

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "unit/fabric/sample_fabrics.h"

namespace relay::fabric {

// Smaller is better.
using Cost = std::tuple<bool, bool, int64_t, size_t, size_t, uint64_t, std::vector<size_t>>;

inline Cost CostOf(const Fabric& fabric, const std::vector<size_t>& links) {
  bool last_resort = false, tcp = false;
  int64_t width = INT64_MAX;
  size_t unknown = 0;
  uint64_t latency = 0;
  for (size_t i : links) {
    const Link& link = fabric.links[i];
    last_resort |= link.last_resort;
    tcp |= link.kind != PortKind::kRdma;
    width = std::min<int64_t>(width, link.speed_mbit);
    unknown += link.latency_us == 0;
    latency += link.latency_us;
  }
  return {last_resort, tcp, -width, links.size(), unknown, latency, links};
}

class Oracle {
 public:
  Oracle(const Fabric& fabric, size_t to, std::set<size_t> without = {})
      : fabric_(fabric), to_(to), without_(std::move(without)) {}

  std::optional<Cost> BestFrom(size_t from) {
    seen_ = {from};
    from_ = from;
    Visit(from);
    return best_;
  }

 private:
  void Visit(size_t at) {
    if (at == to_) {
      Cost cost = CostOf(fabric_, links_);
      if (!best_ || cost < *best_) best_ = std::move(cost);
      return;
    }
    if (fabric_.nodes[at].draining && at != from_) return;
    for (size_t i = 0; i < fabric_.links.size(); ++i) {
      const Link& link = fabric_.links[i];
      if (without_.contains(i) || (link.a.node != at && link.b.node != at)) continue;
      const size_t next = link.a.node == at ? link.b.node : link.a.node;
      if (!seen_.insert(next).second) continue;
      links_.push_back(i);
      Visit(next);
      links_.pop_back();
      seen_.erase(next);
    }
  }

  const Fabric& fabric_;
  size_t to_, from_ = 0;
  std::set<size_t> without_, seen_;
  std::vector<size_t> links_;
  std::optional<Cost> best_;
};

inline Fabric ArbitraryFabric() {
  const auto nodes = *rc::gen::inRange<size_t>(2, 7);
  FabricMaker maker(nodes);
  const auto links = *rc::gen::inRange<size_t>(0, 12);
  // Where all links are alike, only the order of links tells paths apart.
  const auto alike = *rc::gen::arbitrary<bool>();
  for (size_t i = 0; i < links; ++i) {
    const auto x = *rc::gen::inRange<size_t>(0, nodes);
    const auto y = (x + *rc::gen::inRange<size_t>(1, nodes)) % nodes;
    const auto speed = alike ? 10 : *rc::gen::element<uint32_t>(0, 10, 100);
    const auto latency = alike ? 1 : *rc::gen::element<uint32_t>(0, 1, 2);
    maker.Join(x, y, speed, latency, !alike && *rc::gen::arbitrary<bool>() ? PortKind::kRdma : PortKind::kTcp);
    if (!alike && *rc::gen::inRange(0, 4) == 0) maker.AsLastResort();
  }
  for (size_t i = 0; i < nodes; ++i) {
    if (*rc::gen::inRange(0, 6) == 0) maker.Drain(i);
  }
  return maker.fabric();
}

}  // namespace relay::fabric
