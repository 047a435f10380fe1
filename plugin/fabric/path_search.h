// The best paths from one node to all others, on a copy of what a search needs of the fabric. Not thread-safe.
//
// "Widest, then shortest" has no optimal prefixes: the way to a far node may use a short narrow link that the way to
// its neighbour avoids. So a search has two steps: how wide a path to each node can be, and then, among links at
// least that wide, layers of equally short paths. Layers are kept per width, because widths are few.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "relay/fabric.h"

namespace relay::fabric {

class PathSearch {
 public:
  // Paths use none of the links `without`.
  PathSearch(const Fabric& fabric, size_t from, std::span<const size_t> without = {});

  // As FindPath; `fabric` is the one that this search was made from and gives names to sentences.
  Result<Path> To(const Fabric& fabric, size_t to);

 private:
  struct Step {
    uint32_t link = 0, neighbour = 0;
  };
  // Which links may be used.
  struct Filter {
    bool last_resort = false;
    bool rdma = false;
    uint32_t width = 0;
    auto operator<=>(const Filter&) const = default;
  };
  struct Edge {
    uint32_t speed_mbit = 0, latency_us = 0;
    bool rdma = false, last_resort = false;
  };
  // The best way to one node among the shortest.
  struct Reached {
    uint32_t hops = 0;
    uint32_t unknown = 0;     // links of unknown latency: they rank last
    uint64_t latency_us = 0;  // of the others
    uint32_t rank = 0;        // place among the nodes of its layer, by link indices from the source on
    uint32_t link = 0, previous = 0;
  };
  using Layers = std::vector<Reached>;
  using Widths = std::vector<int64_t>;  // per node; -1: out of reach

  std::span<const Step> StepsFrom(size_t node) const;
  bool Admits(const Filter& filter, size_t link) const;
  const Widths& Widest(bool last_resort, bool rdma);
  Widths WidestWays(const Filter& filter) const;
  const Layers& Shortest(const Filter& filter);
  Layers ShortestWays(const Filter& filter) const;
  void Improve(Reached& now, const Reached& via, const Layers& layers) const;
  void RankLayer(std::vector<uint32_t>& layer, Layers& layers) const;
  std::optional<Filter> WithinReach(Filter filter, size_t to);
  Path Trace(const Filter& filter, size_t to);
  tl::unexpected<Error> TooLong(const Fabric& fabric, size_t to);
  tl::unexpected<Error> NoPath(const Fabric& fabric, size_t to);

  size_t from_;
  std::vector<Edge> edges_;      // per link
  std::vector<bool> closed_;     // per node: a path may end there, but not lead through it
  std::vector<uint32_t> first_;  // of steps_, per node and one more
  std::vector<Step> steps_;
  std::vector<uint32_t> speeds_;  // of all links, ascending, each once
  std::array<std::optional<Widths>, 4> widest_;
  std::map<Filter, Layers> layers_;
};

}  // namespace relay::fabric
