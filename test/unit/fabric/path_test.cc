#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <chrono>
#include <set>
#include <tuple>

#include "fabric/path_search.h"
#include "unit/fabric/sample_fabrics.h"

namespace relay::fabric {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(FindPath, ToOneselfHasNoLink) {
  const Path path = FindPath(Chain(), 1, 1).value();
  EXPECT_THAT(path.nodes, ElementsAre(1));
  EXPECT_TRUE(path.links.empty());
  EXPECT_EQ(path.width_mbit, 0u);
}

TEST(FindPath, ReportsWidthLatencyAndKind) {
  FabricMaker maker(3);
  maker.Join(0, 1, 100, 5, PortKind::kRdma).Join(1, 2, 40, 7, PortKind::kRdma);
  const Path path = FindPath(maker.fabric(), 0, 2).value();
  EXPECT_THAT(path.nodes, ElementsAre(0, 1, 2));
  EXPECT_EQ(path.width_mbit, 40u);
  EXPECT_EQ(path.latency_us, 12u);
  EXPECT_TRUE(path.rdma);
}

TEST(FindPath, PrefersRdmaToWidthAndWidthToLengthAndLengthToLatency) {
  FabricMaker rdma(3);
  rdma.Join(0, 2, 100000).Join(0, 1, 10, 0, PortKind::kRdma).Join(1, 2, 10, 0, PortKind::kRdma);
  EXPECT_THAT(FindPath(rdma.fabric(), 0, 2)->links, ElementsAre(1, 2));
  FabricMaker width(3);
  width.Join(0, 2, 1000).Join(0, 1, 200000).Join(1, 2, 200000);
  EXPECT_THAT(FindPath(width.fabric(), 0, 2)->links, ElementsAre(1, 2));
  FabricMaker length(3);
  length.Join(0, 1, 100, 1).Join(1, 2, 100, 1).Join(0, 2, 100, 1000);
  EXPECT_THAT(FindPath(length.fabric(), 0, 2)->links, ElementsAre(2));
  FabricMaker latency(4);
  latency.Join(0, 1, 100).Join(1, 3, 100, 1).Join(0, 2, 100, 900).Join(2, 3, 100, 900);
  EXPECT_THAT(FindPath(latency.fabric(), 0, 3)->links, ElementsAre(2, 3)) << "unknown latency ranks last";
}

TEST(FindPath, TakesAShortNarrowPrefixWhereTheRestIsNarrowAnyway) {
  FabricMaker maker(5);
  maker.Join(0, 1, 10).Join(0, 2, 100).Join(2, 3, 100).Join(3, 1, 100).Join(1, 4, 10);
  EXPECT_THAT(FindPath(maker.fabric(), 0, 1)->links, ElementsAre(1, 2, 3));
  EXPECT_THAT(FindPath(maker.fabric(), 0, 4)->links, ElementsAre(0, 4));
}

TEST(FindPath, OfTwinCablesTheFirstIsTaken) {
  FabricMaker maker(2);
  maker.Join(0, 1, 100).Join(0, 1, 100);
  EXPECT_THAT(FindPath(maker.fabric(), 1, 0)->links, ElementsAre(0));
}

TEST(FindPath, OfTwoEqualWaysTheOneWithTheFirstLinkFirstIsTaken) {
  FabricMaker maker(4);
  maker.Join(0, 2, 10, 1).Join(0, 1, 10, 1).Join(1, 3, 10, 1).Join(2, 3, 10, 1);
  EXPECT_THAT(FindPath(maker.fabric(), 0, 3)->links, ElementsAre(0, 3));
  EXPECT_THAT(FindPath(maker.fabric(), 3, 0)->links, ElementsAre(2, 1));
}

TEST(FindPath, WithoutAPathSaysWhatIsReached) {
  FabricMaker maker(4);
  maker.Join(0, 1, 1).Join(2, 3, 1);
  const auto path = FindPath(maker.fabric(), 0, 3);
  ASSERT_FALSE(path.has_value());
  EXPECT_EQ(path.error().code, ErrorCode::kNoPath);
  EXPECT_EQ(path.error().what, "no path from N0 to N3: the links of N0 reach only N1");
  FabricMaker alone(2);
  EXPECT_THAT(FindPath(alone.fabric(), 0, 1).error().what, HasSubstr("reach no other node"));
}

TEST(FindPath, RefusesPathsThatNoSourceRouteHolds) {
  FabricMaker maker(kMaxHops + 2);
  for (size_t i = 0; i <= kMaxHops; ++i) maker.Join(i, i + 1, 1);
  EXPECT_TRUE(FindPath(maker.fabric(), 0, kMaxHops).has_value());
  EXPECT_THAT(FindPath(maker.fabric(), 0, kMaxHops + 1).error().what, HasSubstr("65 links, more than the limit of 64"));
}

// Smaller is better.
using Cost = std::tuple<bool, int64_t, size_t, size_t, uint64_t, std::vector<size_t>>;

Cost CostOf(const Fabric& fabric, const std::vector<size_t>& links) {
  bool tcp = false;
  int64_t width = INT64_MAX;
  size_t unknown = 0;
  uint64_t latency = 0;
  for (size_t i : links) {
    const Link& link = fabric.links[i];
    tcp |= link.kind != PortKind::kRdma;
    width = std::min<int64_t>(width, link.speed_mbit);
    unknown += link.latency_us == 0;
    latency += link.latency_us;
  }
  return {tcp, -width, links.size(), unknown, latency, links};
}

// Every loop-free way, one by one.
void Enumerate(const Fabric& fabric, size_t at, size_t to, std::set<size_t>& seen, std::vector<size_t>& links,
               std::optional<Cost>& best) {
  if (at == to) {
    Cost cost = CostOf(fabric, links);
    if (!best || cost < *best) best = std::move(cost);
    return;
  }
  for (size_t i = 0; i < fabric.links.size(); ++i) {
    const Link& link = fabric.links[i];
    if (link.a.node != at && link.b.node != at) continue;
    const size_t next = link.a.node == at ? link.b.node : link.a.node;
    if (!seen.insert(next).second) continue;
    links.push_back(i);
    Enumerate(fabric, next, to, seen, links, best);
    links.pop_back();
    seen.erase(next);
  }
}

Fabric ArbitraryFabric() {
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
  }
  return maker.fabric();
}

void ExpectLoopFree(const Fabric& fabric, const Path& path, size_t from, size_t to) {
  RC_ASSERT(path.nodes.front() == from);
  RC_ASSERT(path.nodes.back() == to);
  RC_ASSERT(path.nodes.size() == path.links.size() + 1);
  RC_ASSERT(std::set<size_t>(path.nodes.begin(), path.nodes.end()).size() == path.nodes.size());
  for (size_t i = 0; i < path.links.size(); ++i) {
    const Link& link = fabric.links[path.links[i]];
    RC_ASSERT(std::minmax(link.a.node, link.b.node) == std::minmax(path.nodes[i], path.nodes[i + 1]));
  }
}

RC_GTEST_PROP(PathProperty, IsLoopFreeAndTheBestOfAllWays, ()) {
  const Fabric fabric = ArbitraryFabric();
  const auto from = *rc::gen::inRange<size_t>(0, fabric.nodes.size());
  PathSearch search(fabric, from);
  for (size_t to = 0; to < fabric.nodes.size(); ++to) {
    if (to == from) continue;
    std::set<size_t> seen{from};
    std::vector<size_t> links;
    std::optional<Cost> best;
    Enumerate(fabric, from, to, seen, links, best);
    const auto path = search.To(to);
    RC_ASSERT(path.has_value() == best.has_value());
    if (!best) continue;
    ExpectLoopFree(fabric, *path, from, to);
    RC_ASSERT(CostOf(fabric, path->links) == *best);
    RC_ASSERT(path->rdma == !std::get<0>(*best));
    RC_ASSERT(int64_t{path->width_mbit} == -std::get<1>(*best));
    RC_ASSERT(path->links == FindPath(fabric, from, to)->links);
  }
}

TEST(PathSearch, ReachesTenThousandNodesOverFiftyThousandLinksQuickly) {
  constexpr size_t kNodes = 10000, kLinks = 50000;
  FabricMaker maker(kNodes);
  uint64_t state = 1;
  const auto draw = [&](size_t below) { return static_cast<size_t>((state = Mix(state)) % below); };
  constexpr uint32_t kSpeeds[] = {1000, 10000, 25000, 100000, 200000};
  for (size_t i = 0; i < kLinks; ++i) {
    const size_t x = draw(kNodes);
    maker.Join(x, (x + 1 + draw(kNodes - 1)) % kNodes, kSpeeds[draw(5)], static_cast<uint32_t>(draw(9)));
  }
  const auto begin = std::chrono::steady_clock::now();
  PathSearch search(maker.fabric(), 0);
  size_t reached = 0;
  for (size_t to = 0; to < kNodes; ++to) reached += search.To(to).has_value();
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  EXPECT_GT(reached, kNodes * 9 / 10);
  RecordProperty("milliseconds", std::to_string(took.count()));
  std::printf("one source to all: %.1f ms\n", took.count());
}

}  // namespace
}  // namespace relay::fabric
