// The best paths from one node to all others. Holds a reference to the fabric, which must not change meanwhile.
// Not thread-safe.
//
// "Widest, then shortest" has no optimal prefixes: the way to a far node may use a short narrow link that the way to
// its neighbour avoids. So a search has two steps: how wide a path to each node can be, and then, among links at
// least that wide, layers of equally short paths. Layers are kept per width, because widths are few.
#pragma once
#include <cstdint>
#include <map>
#include <vector>

#include "relay/fabric.h"

namespace relay::fabric {

class PathSearch {
 public:
  PathSearch(const Fabric& fabric, size_t from);

  // As FindPath.
  Result<Path> To(size_t to);

 private:
  struct Step {
    size_t link = 0, neighbour = 0;
  };
  // Which links may be used.
  struct Filter {
    bool rdma = false;
    uint32_t width = 0;
    auto operator<=>(const Filter&) const = default;
  };
  // The best way to one node among the shortest.
  struct Reached {
    uint32_t hops = 0;
    uint32_t unknown = 0;     // links of unknown latency: they rank last
    uint64_t latency_us = 0;  // of the others
    size_t rank = 0;          // place among the nodes of its layer, by link indices from the source on
    size_t link = 0, previous = 0;
  };
  using Layers = std::vector<Reached>;

  bool Admits(const Filter& filter, size_t link) const;
  std::vector<int64_t> WidestWays(bool rdma) const;
  Layers ShortestWays(const Filter& filter) const;
  bool Improve(Reached& now, const Reached& via, const Step& step, const Layers& layers) const;
  void RankLayer(std::vector<size_t>& layer, Layers& layers) const;
  Path Trace(const Layers& layers, size_t to, const Filter& filter) const;
  tl::unexpected<Error> NoPath(size_t to) const;

  const Fabric& fabric_;
  size_t from_;
  std::vector<size_t> first_;  // of steps_, per node and one more
  std::vector<Step> steps_;
  std::vector<int64_t> widest_rdma_, widest_;  // per node; -1: out of reach
  std::map<Filter, Layers> layers_;
};

}  // namespace relay::fabric
