// Links and paths by names, and which of two paths is better.
#include "fabric/route.h"

#include <gtest/gtest.h>

namespace relay::fabric {
namespace {

// A square A-B-C-D-A and a second cable from A to B: ports are named after where they lead.
class Route : public testing::Test {
 protected:
  Route() {
    for (size_t i = 0; i < 4; ++i)
      square_.nodes.push_back({i + 1, std::string(1, static_cast<char>('A' + i)), {}, false});
    Join(0, 1, "1");
    Join(1, 2, "1");
    Join(2, 3, "1");
    Join(0, 3, "1");
    Join(0, 1, "2");
  }
  void Join(size_t a, size_t b, const std::string& number) {
    Link link{AddPort(a, square_.nodes[b].name + number), AddPort(b, square_.nodes[a].name + number), 1000, 10,
              PortKind::kTcp};
    square_.links.push_back(link);
  }
  LinkEnd AddPort(size_t node, const std::string& name) {
    auto& ports = square_.nodes[node].ports;
    ports.push_back({name, {}, 1000, PortKind::kTcp});
    return {node, ports.size() - 1};
  }
  std::vector<RouteHop> Along(std::vector<size_t> nodes, std::vector<size_t> links) const {
    return RouteOf(square_, {std::move(nodes), std::move(links)});
  }
  Fabric square_;
};

TEST_F(Route, ALinkHasOneNameFromBothSides) {
  const auto there = Along({0, 1}, {0}), back = Along({1, 0}, {0});
  EXPECT_EQ(NameOf(there[0]), NameOf(back[0]));
  EXPECT_EQ(NameOf(there[0]), NameOf(square_, 0));
  EXPECT_NE(NameOf(square_, 0), NameOf(square_, 4)) << "two cables between the same nodes";
  EXPECT_EQ(NameOf(back[0]).a, 1u);
  EXPECT_EQ(NameOf(back[0]).a_port, "B1");
}

TEST_F(Route, IsAPathAgainWhileAllItsLinksAreThere) {
  const auto route = Along({0, 1, 2}, {0, 1});
  auto path = PathOf(square_, route);
  ASSERT_TRUE(path);
  EXPECT_EQ(path->nodes, (std::vector<size_t>{0, 1, 2}));
  EXPECT_EQ(path->links, (std::vector<size_t>{0, 1}));
  EXPECT_EQ(path->width_mbit, 1000u);
  EXPECT_EQ(path->latency_us, 20u);
  EXPECT_FALSE(path->rdma || path->last_resort);
  EXPECT_FALSE(PathOf(square_, {}));
  square_.links.erase(square_.links.begin() + 1);
  EXPECT_FALSE(PathOf(square_, route));
}

TEST_F(Route, ParallelLinksBelongToItButAreNoHops) {
  auto route = Along({0, 1}, {0});
  route.push_back(Along({0, 1}, {4})[0]);
  auto path = PathOf(square_, route);
  ASSERT_TRUE(path);
  EXPECT_EQ(path->links, (std::vector<size_t>{0}));
  EXPECT_TRUE(AllAmong(NamesOf(Along({0, 1}, {4})), NamesOf(route)));
  EXPECT_FALSE(AllAmong(NamesOf(route), NamesOf(Along({0, 1}, {4}))));
  square_.links.pop_back();
  EXPECT_FALSE(PathOf(square_, route));
}

TEST_F(Route, LatencyAloneIsNoReasonToMove) {
  const Path by_b = *PathOf(square_, Along({0, 1, 2}, {0, 1})), direct = *PathOf(square_, Along({0, 1}, {0}));
  Path by_d = *PathOf(square_, Along({0, 3, 2}, {3, 2}));
  EXPECT_TRUE(ComesBefore(by_b, by_d)) << "the first of equals";
  by_d.latency_us = 1;
  EXPECT_TRUE(ComesBefore(by_b, by_d));
  EXPECT_FALSE(ComesBefore(by_d, by_b));
  EXPECT_FALSE(ComesBefore(by_b, by_b));
  EXPECT_TRUE(ComesBefore(direct, by_b));
  by_d.width_mbit = 2000;
  EXPECT_TRUE(ComesBefore(by_d, by_b)) << "wider";
  Path rdma = by_b;
  rdma.rdma = true;
  EXPECT_TRUE(ComesBefore(rdma, by_d));
  rdma.last_resort = true;
  EXPECT_TRUE(ComesBefore(by_b, rdma));
}

TEST_F(Route, ANodeThatDrainsIsOnlyInTheWayInTheMiddle) {
  const Path path = *PathOf(square_, Along({0, 1, 2}, {0, 1}));
  square_.nodes[0].draining = square_.nodes[2].draining = true;
  EXPECT_FALSE(LeadsThroughDraining(square_, path));
  square_.nodes[1].draining = true;
  EXPECT_TRUE(LeadsThroughDraining(square_, path));
}

}  // namespace
}  // namespace relay::fabric
