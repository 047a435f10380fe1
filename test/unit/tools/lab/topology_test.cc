#include "lab/topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <rapidcheck/gtest.h>
#include <numeric>
#include <set>

#include "lab/prng.h"

namespace relay::lab {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Cables(const char* shape) {
  const Topology topology = ParseShape(shape).value();
  std::vector<std::string> out;
  for (const Cable& cable : topology.cables) out.push_back(topology.nodes[cable.a] + topology.nodes[cable.b]);
  return out;
}

TEST(Topology, ShapesHaveTheirCables) {
  EXPECT_THAT(Cables("chain:3"), ElementsAre("AB", "BC"));
  EXPECT_THAT(Cables("ring:4"), ElementsAre("AB", "BC", "CD", "AD"));
  EXPECT_THAT(Cables("ring:2"), ElementsAre("AB", "AB"));
  EXPECT_THAT(Cables("star:4"), ElementsAre("AB", "AC", "AD"));
  EXPECT_THAT(Cables("full:3"), ElementsAre("AB", "AC", "BC"));
  EXPECT_THAT(Cables("grid:2x3"), ElementsAre("AB", "AD", "BC", "BE", "CF", "DE", "EF"));
}

TEST(Topology, NodesAreNamedLikeColumnsOfASheet) {
  EXPECT_EQ(NodeName(0), "A");
  EXPECT_EQ(NodeName(25), "Z");
  EXPECT_EQ(NodeName(26), "AA");
  EXPECT_EQ(NodeName(51), "AZ");
  EXPECT_EQ(NodeName(52), "BA");
  EXPECT_EQ(NodeName(27 * 26), "AAA");
}

// The graph of a seed is part of a test's name: it may not change.
TEST(Topology, ARandomGraphIsTheSameForItsSeed) {
  EXPECT_THAT(Cables("random:5:6:7"), ElementsAre("AB", "AE", "BD", "BE", "CD", "CE"));
  EXPECT_EQ(Cables("random:6:8:9"), Cables("random:6:8:9"));
  EXPECT_NE(Cables("random:6:8:9"), Cables("random:6:8:10"));
  EXPECT_EQ(Cables("random:6"), Cables("random:6:9:1"));
  EXPECT_EQ(Cables("random:2"), Cables("random:2:1:1"));
  EXPECT_EQ(ParseShape("random:4:3:2")->name, "random-4-3-2");
}

TEST(Topology, ARandomGraphThatHasEveryLinkIsFull) { EXPECT_EQ(Cables("random:6:15:3"), Cables("full:6")); }

size_t Root(std::vector<size_t>& parents, size_t node) {
  while (parents[node] != node) node = parents[node];
  return node;
}

RC_GTEST_PROP(RandomTopology, IsConnectedAndHasTheLinksAskedForWithoutTwins, ()) {
  const auto n = *rc::gen::inRange<size_t>(2, 60);
  const auto links = *rc::gen::inRange<size_t>(n - 1, n * (n - 1) / 2 + 1);
  const auto seed = *rc::gen::arbitrary<uint64_t>();
  const std::string text = "random:" + std::to_string(n) + ":" + std::to_string(links) + ":" + std::to_string(seed);
  const Topology topology = ParseShape(text).value();
  RC_ASSERT(topology.nodes.size() == n);
  RC_ASSERT(topology.cables.size() == links);
  std::vector<size_t> degrees(n), parents(n);
  std::iota(parents.begin(), parents.end(), size_t{0});
  std::set<std::pair<size_t, size_t>> pairs;
  for (const Cable& cable : topology.cables) {
    RC_ASSERT(cable.a < n && cable.b < n && cable.a != cable.b);
    RC_ASSERT(pairs.insert(std::minmax(cable.a, cable.b)).second);
    ++degrees[cable.a];
    ++degrees[cable.b];
    parents[Root(parents, cable.a)] = Root(parents, cable.b);
  }
  RC_ASSERT(std::accumulate(degrees.begin(), degrees.end(), size_t{0}) == 2 * links);
  for (size_t node = 0; node < n; ++node) RC_ASSERT(Root(parents, node) == Root(parents, 0));
  const Topology again = ParseShape(text).value();
  RC_ASSERT(std::equal(topology.cables.begin(), topology.cables.end(), again.cables.begin(), again.cables.end(),
                       [](const Cable& x, const Cable& y) { return x.a == y.a && x.b == y.b; }));
}

TEST(Topology, SeedsReachEveryGraphOfFourNodesAndThreeLinks) {
  std::set<std::vector<std::string>> graphs;
  for (int seed = 0; seed < 1000; ++seed) graphs.insert(Cables(("random:4:3:" + std::to_string(seed)).c_str()));
  EXPECT_EQ(graphs.size(), 16u);  // Cayley: 4^2 trees
}

TEST(Prng, IsTheOneThatIsKnown) {
  Prng prng(1234567);
  EXPECT_EQ(prng.Next(), 6457827717110365317u);
  EXPECT_EQ(prng.Next(), 3203168211198807973u);
  EXPECT_EQ(prng.Next(), 9817491932198370423u);
}

TEST(Topology, WhatIsNoShapeIsRefused) {
  for (const char* wrong :
       {"chain", "chain:", "chain:x", "chain:-1", "chain:3x3", "grid:3", "grid:3x", "grid:x3", "grid:2x2x2", "ring:3 ",
        "random", "random:", "random:3:", "random:3:3:", "random:3:3:3:3", "random:3x3"}) {
    EXPECT_THAT(ParseShape(wrong).error().what, HasSubstr("is no topology")) << wrong;
  }
  for (const char* size : {"chain:1", "chain:251", "grid:1x1", "grid:100x100", "chain:18446744073709551615",
                           "grid:4294967296x4294967296", "random:1", "random:251"}) {
    EXPECT_THAT(ParseShape(size).error().what, HasSubstr("2 to 250 nodes")) << size;
  }
  EXPECT_EQ(ParseShape("random:5:3").error().what, "random:5:3: 5 nodes are joined by 4 to 10 links");
  EXPECT_EQ(ParseShape("random:5:11").error().what, "random:5:11: 5 nodes are joined by 4 to 10 links");
}

TEST(Topology, AFileIsNotAShape) {
  EXPECT_TRUE(LooksLikeShape("chain:x"));
  EXPECT_TRUE(LooksLikeShape("ring"));
  EXPECT_FALSE(LooksLikeShape("chain.json"));
  EXPECT_FALSE(LooksLikeShape("/etc/fabric.json"));
}

}  // namespace
}  // namespace relay::lab
