#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <chrono>
#include <set>

#include "fabric/path_search.h"
#include "unit/fabric/path_oracle.h"

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

TEST(FindPath, WithOneTcpLinkAPathIsTcpAndRanksAsOne) {
  FabricMaker maker(5);
  const PortKind rdma = PortKind::kRdma;
  maker.Join(0, 1, 200000, 1, rdma).Join(1, 2, 200000, 1).Join(2, 4, 200000, 1, rdma);
  const Path mixed = FindPath(maker.fabric(), 0, 4).value();
  EXPECT_THAT(mixed.links, ElementsAre(0, 1, 2));
  EXPECT_FALSE(mixed.rdma);
  EXPECT_TRUE(FindPath(maker.fabric(), 0, 1)->rdma) << "its first link alone is";
  maker.Join(0, 4, 200000, 9);
  EXPECT_THAT(FindPath(maker.fabric(), 0, 4)->links, ElementsAre(3)) << "no better than TCP all the way, and longer";
  maker.Join(0, 3, 10, 9, rdma).Join(3, 4, 10, 9, rdma);
  const Path whole = FindPath(maker.fabric(), 0, 4).value();
  EXPECT_THAT(whole.links, ElementsAre(4, 5)) << "RDMA all the way, however narrow";
  EXPECT_TRUE(whole.rdma);
  EXPECT_FALSE(FindPathWithout(maker.fabric(), 0, 4, whole.links)->rdma);
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

TEST(FindPath, ALastResortIsTakenWhenNothingElseLeadsThere) {
  FabricMaker maker(4);
  maker.Join(0, 2, 100000, 1, PortKind::kRdma).AsLastResort().Join(0, 1, 10).Join(1, 2, 10);
  const Path relayed = FindPath(maker.fabric(), 0, 2).value();
  EXPECT_THAT(relayed.links, ElementsAre(1, 2)) << "a LAN never beats a relayed cable, however fast it says it is";
  EXPECT_FALSE(relayed.last_resort);
  maker.Join(2, 3, 100).AsLastResort();
  const Path lan = FindPath(maker.fabric(), 0, 3).value();
  EXPECT_THAT(lan.nodes, ElementsAre(0, 2, 3));
  EXPECT_TRUE(lan.last_resort);
}

TEST(FindPath, NeverLeadsThroughADrainingNode) {
  FabricMaker maker(4);
  maker.Join(0, 1, 1000).Join(1, 2, 1000).Join(0, 3, 1).Join(3, 2, 1);
  maker.Drain(1);
  EXPECT_THAT(FindPath(maker.fabric(), 0, 2)->nodes, ElementsAre(0, 3, 2));
  EXPECT_THAT(FindPath(maker.fabric(), 0, 1)->nodes, ElementsAre(0, 1)) << "it may end there";
  EXPECT_THAT(FindPath(maker.fabric(), 1, 2)->nodes, ElementsAre(1, 2)) << "and begin";
  maker.Drain(3);
  EXPECT_EQ(FindPath(maker.fabric(), 0, 2).error().what,
            "no path from N0 to N2: the links of N0 reach only N1, N3, of which N1, N3 drain and take nothing through");
}

TEST(FindPathWithout, IsTheNextBestThatSharesNoLink) {
  FabricMaker maker(3);
  maker.Join(0, 2, 100).Join(0, 2, 100).Join(0, 1, 50).Join(1, 2, 50);
  EXPECT_THAT(FindPathWithout(maker.fabric(), 0, 2, {})->links, ElementsAre(0));
  EXPECT_THAT(FindPathWithout(maker.fabric(), 0, 2, std::vector<size_t>{0})->links, ElementsAre(1));
  EXPECT_THAT(FindPathWithout(maker.fabric(), 0, 2, std::vector<size_t>{0, 1})->links, ElementsAre(2, 3));
  EXPECT_EQ(FindPathWithout(maker.fabric(), 0, 2, std::vector<size_t>{0, 1, 3}).error().what,
            "no path from N0 to N2: the links of N0 reach only N1, without N0-N2 (N0/p0 to N2/p0), N0-N2 (N0/p1 to "
            "N2/p1), N1-N2 (N1/p1 to N2/p2)");
}

TEST(FindPath, WhereTheWidestWayIsTooLongTheWidestThatIsNotIsTaken) {
  FabricMaker maker(kMaxHops + 2);
  for (size_t i = 0; i <= kMaxHops; ++i) maker.Join(i, i + 1, 1000);
  maker.Join(0, 2, 20).Join(1, 3, 10).Join(0, kMaxHops + 1, 5);
  const Path path = FindPath(maker.fabric(), 0, kMaxHops + 1).value();
  EXPECT_EQ(path.width_mbit, 20u);
  EXPECT_EQ(path.links.size(), kMaxHops);
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
    const auto best = Oracle(fabric, to).BestFrom(from);
    const auto path = search.To(fabric, to);
    RC_ASSERT(path.has_value() == best.has_value());
    if (!best) continue;
    ExpectLoopFree(fabric, *path, from, to);
    RC_ASSERT(CostOf(fabric, path->links) == *best);
    RC_ASSERT(path->last_resort == std::get<0>(*best));
    RC_ASSERT(path->rdma == !std::get<1>(*best));
    RC_ASSERT(int64_t{path->width_mbit} == -std::get<2>(*best));
    RC_ASSERT(path->latency_us == std::get<5>(*best));
    RC_ASSERT(path->links == FindPath(fabric, from, to)->links);
  }
}

RC_GTEST_PROP(PathProperty, TheNextBestIsTheBestOfWhatSharesNoLinkWithTheBest, ()) {
  const Fabric fabric = ArbitraryFabric();
  const auto from = *rc::gen::inRange<size_t>(0, fabric.nodes.size());
  const auto to = (from + *rc::gen::inRange<size_t>(1, fabric.nodes.size())) % fabric.nodes.size();
  std::set<size_t> used;
  while (const auto path = FindPathWithout(fabric, from, to, std::vector(used.begin(), used.end()))) {
    ExpectLoopFree(fabric, *path, from, to);
    RC_ASSERT(CostOf(fabric, path->links) == Oracle(fabric, to, used).BestFrom(from).value());
    for (size_t link : path->links) RC_ASSERT(used.insert(link).second);
  }
  RC_ASSERT(!Oracle(fabric, to, used).BestFrom(from).has_value());
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
  for (size_t to = 0; to < kNodes; ++to) reached += search.To(maker.fabric(), to).has_value();
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  EXPECT_GT(reached, kNodes * 9 / 10);
  RecordProperty("milliseconds", std::to_string(took.count()));
  std::printf("one source to all: %.1f ms\n", took.count());
}

}  // namespace
}  // namespace relay::fabric
