#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "unit/fabric/sample_fabrics.h"

namespace relay::fabric {
namespace {

using ::testing::HasSubstr;

LocalInterface Interface(const std::string& name, const std::string& address) {
  return {name, {*SocketAddress::Parse(address)}};
}

TEST(FindSelf, IsTheNodeWhoseAddressesThisMachineHas) {
  const Fabric fabric = Chain();
  EXPECT_EQ(FindSelf(fabric, std::vector{Interface("lo", "127.0.0.1"), Interface("bc", "10.77.0.5")}).value(), 1u);
  EXPECT_EQ(FindSelf(fabric, std::vector{Interface("renamed", "10.77.0.6")}).value(), 2u);
}

TEST(FindSelf, PrefersTheNodeWhosePortNamesFitWhenAddressesAreUsedTwice) {
  Fabric fabric = Chain();
  fabric.nodes[2].ports[0].addresses = fabric.nodes[0].ports[0].addresses;
  EXPECT_EQ(FindSelf(fabric, std::vector{Interface("cb", "10.77.0.1")}).value(), 2u);
}

TEST(FindSelf, NoMatchSaysWhatWasCompared) {
  const auto self = FindSelf(Chain(), std::vector{Interface("eth7", "192.168.1.1")});
  ASSERT_FALSE(self.has_value());
  EXPECT_EQ(self.error().code, ErrorCode::kUsage);
  EXPECT_THAT(self.error().what, HasSubstr("eth7 192.168.1.1"));
  EXPECT_THAT(self.error().what, HasSubstr("C cb 10.77.0.6"));
}

TEST(FindSelf, ATieNamesTheNodesThatFit) {
  const auto self = FindSelf(Chain(), std::vector{Interface("ab", "10.77.0.1"), Interface("cb", "10.77.0.6")});
  ASSERT_FALSE(self.has_value());
  EXPECT_THAT(self.error().what, HasSubstr("A and C"));
}

TEST(FindNode, FindsByIdOrNothing) {
  const Fabric fabric = Chain();
  EXPECT_EQ(FindNode(fabric, fabric.nodes[2].id), 2u);
  EXPECT_EQ(FindNode(fabric, 12345), std::nullopt);
}

TEST(FindLink, FindsALinkFromEitherEnd) {
  const Fabric fabric = Chain();
  const NodeId b = fabric.nodes[1].id, c = fabric.nodes[2].id;
  EXPECT_EQ(FindLink(fabric, {b, c, "bc", "cb"}), 1u);
  EXPECT_EQ(FindLink(fabric, {c, b, "cb", "bc"}), 1u);
  EXPECT_EQ(FindLink(fabric, {b, c, "ba", "cb"}), std::nullopt);
  EXPECT_EQ(FindLink(fabric, {b, c, "cb", "bc"}), std::nullopt);
}

TEST(Text, NamesNodesPortsAndLinks) {
  const Fabric fabric = Chain();
  const Path path = FindPath(fabric, 0, 2).value();
  EXPECT_EQ(PathText(fabric, path), "A ab--ba B bc--cb C");
  EXPECT_EQ(PathText(fabric, FindPath(fabric, 1, 1).value()), "B");
  EXPECT_EQ(LinkText(fabric, 1), "C-B (C/cb to B/bc)");
}

TEST(RouteOf, ListsEachLinkFromTheSideThatDialsIt) {
  const Fabric fabric = Chain();
  const auto route = RouteOf(fabric, FindPath(fabric, 0, 2).value());
  ASSERT_EQ(route.size(), 2u);
  EXPECT_EQ(route[1].from, fabric.nodes[1].id);
  EXPECT_EQ(route[1].to, fabric.nodes[2].id);
  EXPECT_EQ(route[1].from_port, "bc");
  EXPECT_EQ(route[1].to_port, "cb");
}

// The chain with nodes, ports, addresses, links and link ends in another order.
Fabric Shuffled() {
  Fabric fabric = Chain();
  std::swap(fabric.nodes[0], fabric.nodes[2]);
  for (Link& link : fabric.links) {
    for (LinkEnd* end : {&link.a, &link.b}) end->node = 2 - end->node;
    std::swap(link.a, link.b);
  }
  std::swap(fabric.links[0], fabric.links[1]);
  std::swap(fabric.nodes[1].ports[0], fabric.nodes[1].ports[1]);
  for (Link& link : fabric.links) {
    if (link.a.node == 1) link.a.port = 1 - link.a.port;
    if (link.b.node == 1) link.b.port = 1 - link.b.port;
  }
  auto& addresses = fabric.nodes[1].ports[0].addresses;
  std::reverse(addresses.begin(), addresses.end());
  return fabric;
}

TEST(AgreementHash, DoesNotDependOnOrderSpeedOrLatency) {
  Fabric other = Shuffled();
  other.name = "renamed";
  other.links[0].speed_mbit = 7;
  other.links[1].latency_us = 9;
  other.nodes[0].ports[0].speed_mbit = 3;
  EXPECT_EQ(AgreementHash(other), AgreementHash(Chain()));
  EXPECT_NE(AgreementHash(other), 0u);
}

TEST(AgreementHash, DependsOnEveryNameAddressAndLink) {
  std::vector<Fabric> different(7, Chain());
  different[1].nodes[0].name = "Z";
  different[2].nodes[0].ports[0].name = "eth0";
  different[3].nodes[0].ports[0].addresses[0] = *SocketAddress::Parse("10.77.0.9");
  different[4].links.pop_back();
  different[5].links[1].b.port = 0;
  std::swap(different[6].nodes[0].ports[0].addresses, different[6].nodes[2].ports[0].addresses);
  for (size_t i = 0; i < different.size(); ++i) {
    for (size_t j = i + 1; j < different.size(); ++j) {
      EXPECT_NE(AgreementHash(different[i]), AgreementHash(different[j])) << i << " and " << j;
    }
  }
}

}  // namespace
}  // namespace relay::fabric
