#include "lab/topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

TEST(Topology, WhatIsNoShapeIsRefused) {
  for (const char* wrong : {"chain", "chain:", "chain:x", "chain:-1", "chain:3x3", "grid:3", "grid:3x", "grid:x3",
                            "grid:2x2x2", "ring:3 "}) {
    EXPECT_THAT(ParseShape(wrong).error().what, HasSubstr("is no topology")) << wrong;
  }
  for (const char* size : {"chain:1", "chain:251", "grid:1x1", "grid:100x100", "chain:18446744073709551615",
                           "grid:4294967296x4294967296"}) {
    EXPECT_THAT(ParseShape(size).error().what, HasSubstr("2 to 250 nodes")) << size;
  }
}

TEST(Topology, AFileIsNotAShape) {
  EXPECT_TRUE(LooksLikeShape("chain:x"));
  EXPECT_TRUE(LooksLikeShape("ring"));
  EXPECT_FALSE(LooksLikeShape("chain.json"));
  EXPECT_FALSE(LooksLikeShape("/etc/fabric.json"));
}

}  // namespace
}  // namespace relay::lab
