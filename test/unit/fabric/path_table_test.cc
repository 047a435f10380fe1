#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "fabric/path_table.h"
#include "unit/fabric/path_oracle.h"

namespace relay::fabric {
namespace {

using ::testing::ElementsAre;

// The fabric without one link; its ports stay.
Fabric Without(Fabric fabric, size_t link) {
  fabric.links.erase(fabric.links.begin() + static_cast<ptrdiff_t>(link));
  return fabric;
}

// Asks for every destination and returns how many of the answers needed a search.
uint64_t AskAll(PathTable& table, const Fabric& fabric) {
  const uint64_t before = table.searches();
  for (size_t to = 0; to < fabric.nodes.size(); ++to) (void)table.To(fabric, to);
  return table.searches() - before;
}

Fabric Grid(size_t side) {
  FabricMaker maker(side * side);
  for (size_t i = 0; i < side * side; ++i) {
    if (i % side + 1 < side) maker.Join(i, i + 1, 100, 1);
    if (i + side < side * side) maker.Join(i, i + side, 100, 1);
  }
  return maker.fabric();
}

TEST(PathTable, AsksOnceForWhatDoesNotChange) {
  const Fabric fabric = Grid(4);
  PathTable table(5);
  EXPECT_EQ(AskAll(table, fabric), fabric.nodes.size());
  EXPECT_EQ(AskAll(table, fabric), 0u);
  table.Changed(fabric, fabric);
  EXPECT_EQ(AskAll(table, fabric), 0u);
}

TEST(PathTable, ALinkThatGoesCostsASearchForThePathsThatUsedItAndNoOther) {
  const Fabric before = Grid(5);
  for (size_t link = 0; link < before.links.size(); ++link) {
    PathTable table(12);
    AskAll(table, before);
    uint64_t users = 0;
    for (size_t to = 0; to < before.nodes.size(); ++to) {
      const Path path = table.To(before, to).value();
      users += std::count(path.links.begin(), path.links.end(), link);
    }
    const Fabric after = Without(before, link);
    table.Changed(before, after);
    EXPECT_EQ(AskAll(table, after), users) << LinkText(before, link);
  }
}

TEST(PathTable, ALinkThatGotWorseCostsASearchForThePathsThatUseIt) {
  const Fabric before = Grid(3);
  Fabric after = before;
  after.links[0].speed_mbit = 10;
  after.links[0].last_resort = true;
  PathTable table(0);
  AskAll(table, before);
  const auto uses = [&](size_t to) { return table.To(before, to)->links.front() == 0; };
  size_t users = 0;
  for (size_t to = 1; to < before.nodes.size(); ++to) users += uses(to) ? 1 : 0;
  ASSERT_GT(users, 0u);
  table.Changed(before, after);
  EXPECT_EQ(AskAll(table, after), users);
  EXPECT_THAT(table.To(after, 1)->nodes, ElementsAre(0, 3, 4, 1));
}

TEST(PathTable, ALinkThatComesCostsNothingForWhatItCannotImprove) {
  const Fabric after = Grid(5);
  const Fabric before = Without(after, after.links.size() - 1);  // 23 to 24
  PathTable table(0);
  AskAll(table, before);
  table.Changed(before, after);
  const uint64_t searches = AskAll(table, after);
  EXPECT_GT(searches, 0u);
  EXPECT_LE(searches, 2u) << "all but its ends are nearer without it";
  Fabric narrow = after;
  narrow.links.push_back(after.links[0]);
  narrow.links.back().a = {0, 0};
  narrow.links.back().b = {24, 0};
  narrow.links.back().speed_mbit = 1;
  table.Changed(after, narrow);
  EXPECT_EQ(AskAll(table, narrow), 0u) << "a narrow shortcut is no better for anybody";
}

TEST(PathTable, ALinkThatComesIsTakenWhereOnlyItsLatencyIsBetter) {
  FabricMaker maker(4);
  maker.Join(0, 3, 10, 10).Join(3, 2, 10, 10).Join(1, 2, 10, 1);
  const Fabric before = maker.fabric();
  const Fabric after = maker.Join(0, 1, 10, 1).fabric();
  PathTable table(0);
  EXPECT_THAT(table.To(before, 2)->nodes, ElementsAre(0, 3, 2));
  table.Changed(before, after);
  EXPECT_THAT(table.To(after, 2)->nodes, ElementsAre(0, 1, 2));
}

TEST(PathTable, ALinkWhoseLatencyGotBetterIsTaken) {
  FabricMaker maker(2);
  maker.Join(0, 1, 10, 5).Join(0, 1, 10, 7);
  const Fabric before = maker.fabric();
  Fabric after = before;
  PathTable table(0);
  for (uint32_t latency : {6, 4}) {
    EXPECT_THAT(table.To(before, 1)->links, ElementsAre(0));
    after.links[1].latency_us = latency;
    table.Changed(before, after);
    EXPECT_THAT(table.To(after, 1)->links, ElementsAre(latency < 5 ? 1 : 0));
    table.Changed(after, before);
  }
}

TEST(PathTable, AmongEqualsTheFirstIsTakenAlsoWhenTheirOrderChanges) {
  FabricMaker maker(2);
  maker.Join(0, 1, 10, 1).Join(0, 1, 10, 1);
  const Fabric before = maker.fabric();
  Fabric after = before;
  std::swap(after.links[0], after.links[1]);
  PathTable table(0);
  EXPECT_THAT(table.To(before, 1)->links, ElementsAre(0));
  table.Changed(before, after);
  EXPECT_THAT(table.To(after, 1)->links, ElementsAre(0)) << "as a fresh search would";
}

TEST(PathTable, FollowsItsNodeToAnotherIndexAndPathsToOthers) {
  FabricMaker maker(4);
  maker.Join(0, 1, 10).Join(1, 2, 10).Join(2, 3, 10);
  const Fabric before = maker.fabric();
  Fabric after = before;
  after.nodes.erase(after.nodes.begin());
  after.links.erase(after.links.begin());
  for (Link& link : after.links) {
    --link.a.node;
    --link.b.node;
  }
  PathTable table(1);
  AskAll(table, before);
  table.Changed(before, after);
  EXPECT_THAT(table.To(after, 2)->nodes, ElementsAre(0, 1, 2));
  EXPECT_THAT(table.To(after, 2)->links, ElementsAre(0, 1));
  EXPECT_EQ(table.searches(), 4u) << "nothing was looked for again";
  table.Changed(after, before);
  EXPECT_THAT(table.To(before, 3)->nodes, ElementsAre(1, 2, 3));
  EXPECT_THAT(table.To(before, 0)->nodes, ElementsAre(1, 0));
}

TEST(PathTable, WithoutItsNodeThereIsNoPathUntilItReturns) {
  FabricMaker maker(2);
  maker.Join(0, 1, 10);
  Fabric without = maker.fabric();
  without.links.clear();
  without.nodes.pop_back();
  PathTable table(1);
  ASSERT_TRUE(table.To(maker.fabric(), 0));
  table.Changed(maker.fabric(), without);
  EXPECT_EQ(table.To(without, 0).error().code, ErrorCode::kNoPath);
  table.Changed(without, maker.fabric());
  EXPECT_THAT(table.To(maker.fabric(), 0)->nodes, ElementsAre(1, 0));
}

TEST(PathTable, APathIsGivenUpWhenANodeOnItDrainsAndTakenAgainAfterwards) {
  FabricMaker maker(4);
  maker.Join(0, 1, 100).Join(1, 2, 100).Join(0, 3, 10).Join(3, 2, 10);
  const Fabric open = maker.fabric();
  const Fabric draining = maker.Drain(1).fabric();
  PathTable table(0);
  EXPECT_THAT(table.To(open, 2)->nodes, ElementsAre(0, 1, 2));
  table.Changed(open, draining);
  EXPECT_THAT(table.To(draining, 2)->nodes, ElementsAre(0, 3, 2));
  table.Changed(draining, open);
  EXPECT_THAT(table.To(open, 2)->nodes, ElementsAre(0, 1, 2));
}

// One more change to a fabric: what happens to links and nodes of a discovered one.
Fabric Change(const Fabric& before) {
  Fabric after = before;
  const auto changes = *rc::gen::inRange(1, 4);
  for (int i = 0; i < changes; ++i) {
    const size_t kind = after.links.empty() ? 0 : *rc::gen::inRange<size_t>(0, 7);
    const size_t link = after.links.empty() ? 0 : *rc::gen::inRange<size_t>(0, after.links.size());
    if (kind == 0) {
      const auto x = *rc::gen::inRange<size_t>(0, after.nodes.size());
      const auto y = (x + *rc::gen::inRange<size_t>(1, after.nodes.size())) % after.nodes.size();
      for (size_t node : {x, y}) {
        Port port;
        port.name = "n" + std::to_string(after.nodes[node].ports.size());
        after.nodes[node].ports.push_back(port);
      }
      Link added;
      added.a = {x, after.nodes[x].ports.size() - 1};
      added.b = {y, after.nodes[y].ports.size() - 1};
      added.speed_mbit = *rc::gen::element<uint32_t>(0, 10, 100);
      added.latency_us = *rc::gen::element<uint32_t>(0, 1, 2);
      const auto place = *rc::gen::inRange<size_t>(0, after.links.size() + 1);
      after.links.insert(after.links.begin() + static_cast<ptrdiff_t>(place), added);
    } else if (kind == 1) {
      after = Without(std::move(after), link);
    } else if (kind == 2) {
      after.links[link].speed_mbit = *rc::gen::element<uint32_t>(0, 10, 100);
    } else if (kind == 3) {
      after.links[link].latency_us = *rc::gen::element<uint32_t>(0, 1, 2);
    } else if (kind == 4) {
      after.links[link].last_resort = *rc::gen::arbitrary<bool>();
      after.links[link].kind = *rc::gen::element(PortKind::kTcp, PortKind::kRdma);
    } else if (kind == 5) {
      std::swap(after.links[link].a, after.links[link].b);
      if (*rc::gen::inRange(0, 3) == 0) std::swap(after.links[link], after.links.front());
    } else {
      Node& node = after.nodes[*rc::gen::inRange<size_t>(0, after.nodes.size())];
      node.draining = !node.draining;
    }
  }
  return after;
}

RC_GTEST_PROP(PathTableProperty, ItsPathsAreAlwaysThoseOfAFreshSearch, ()) {
  Fabric fabric = ArbitraryFabric();
  const auto from = *rc::gen::inRange<size_t>(0, fabric.nodes.size());
  PathTable table(from);
  const auto steps = *rc::gen::inRange(1, 6);
  for (int step = 0; step < steps; ++step) {
    for (size_t to = 0; to < fabric.nodes.size(); ++to) {
      if (*rc::gen::inRange(0, 4) == 0) continue;
      const auto path = table.To(fabric, to);
      const auto fresh = FindPath(fabric, from, to);
      RC_ASSERT(path.has_value() == fresh.has_value());
      if (!path) continue;
      RC_ASSERT(path->links == fresh->links);
      RC_ASSERT(path->nodes == fresh->nodes);
      RC_ASSERT(std::tuple(path->width_mbit, path->latency_us, path->rdma, path->last_resort) ==
                std::tuple(fresh->width_mbit, fresh->latency_us, fresh->rdma, fresh->last_resort));
    }
    const Fabric next = Change(fabric);
    table.Changed(fabric, next);
    fabric = next;
  }
}

}  // namespace
}  // namespace relay::fabric
