#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

#include "fabric/names.h"
#include "unit/fabric/sample_records.h"

namespace relay::fabric {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> NamesOf(const Fabric& fabric) {
  std::vector<std::string> names;
  for (const Node& node : fabric.nodes) names.push_back(node.name);
  return names;
}

std::vector<std::string> NamesOf(const std::vector<std::pair<NodeId, std::string>>& hosts) {
  std::vector<Record> records;
  for (const auto& [node, name] : hosts) {
    std::vector<NodeId> others;
    for (const auto& [other, unused] : hosts) {
      if (other != node) others.push_back(other);
    }
    records.push_back(RecordOf(node, others));
    records.back().name = name;
  }
  return NamesOf(GraphOf(records, hosts.front().first));
}

TEST(MakeGraph, AChainOfRecordsIsAChain) {
  std::vector<Record> records = {RecordOf(3, {2}), RecordOf(1, {2}), RecordOf(2, {3, 1})};
  records[0].neighbours[0].latency_us = 9;
  records[2].ports[0].speed_mbit = 400;
  const Fabric fabric = GraphOf(records, 1);
  EXPECT_THAT(NamesOf(fabric), ElementsAre("host1", "host2", "host3"));
  EXPECT_EQ(fabric.nodes[2].id, 3u);
  ASSERT_EQ(fabric.links.size(), 2u);
  EXPECT_EQ(LinkText(fabric, 0), "host1-host2 (host1/p2 to host2/p1)");
  EXPECT_EQ(LinkText(fabric, 1), "host2-host3 (host2/p3 to host3/p2)");
  EXPECT_EQ(fabric.links[1].speed_mbit, 400u);
  EXPECT_EQ(fabric.links[1].latency_us, 5u) << "the lower of what the ends measured";
  EXPECT_EQ(fabric.links[1].kind, PortKind::kTcp);
}

TEST(MakeGraph, BothEndsMustClaimALink) {
  std::vector<Record> records = {RecordOf(1, {2}), RecordOf(2, {1})};
  EXPECT_EQ(GraphOf(records, 1).links.size(), 1u);
  records[1].neighbours.clear();
  EXPECT_THAT(GraphOf(records, 1).links, IsEmpty());
  EXPECT_EQ(GraphOf(records, 1).nodes.size(), 1u) << "nothing joins the other";
  records[1] = RecordOf(2, {1});
  records[1].neighbours[0].far_port = "p9";
  EXPECT_THAT(GraphOf(records, 1).links, IsEmpty());
  records[1] = RecordOf(2, {1});
  records[1].neighbours[0].routed = true;
  EXPECT_THAT(GraphOf(records, 1).links, IsEmpty()) << "one says routed, the other does not";
  records[0].neighbours.push_back(records[0].neighbours[0]);
  records[1].neighbours.clear();
  EXPECT_THAT(GraphOf(records, 1).links, IsEmpty()) << "one end saying it twice is not two ends";
}

TEST(MakeGraph, ARoutedLinkIsALastResort) {
  std::vector<Record> records = {RecordOf(1, {2}), RecordOf(2, {1})};
  for (Record& record : records) record.neighbours[0].routed = true;
  Fabric fabric = GraphOf(records, 1);
  ASSERT_EQ(fabric.links.size(), 1u);
  EXPECT_TRUE(fabric.links[0].routed);
  EXPECT_TRUE(fabric.links[0].last_resort);
  for (Record& record : records) {
    record.neighbours.push_back(record.neighbours[0]);
    record.neighbours[1].routed = false;
  }
  fabric = GraphOf(records, 2);
  ASSERT_EQ(fabric.links.size(), 1u) << "the wire, where both are there";
  EXPECT_FALSE(fabric.links[0].routed);
  EXPECT_FALSE(fabric.links[0].last_resort);
}

TEST(MakeGraph, ALinkIsALastResortWhenOneOfItsPortsIs) {
  std::vector<Record> records = {RecordOf(1, {2}), RecordOf(2, {1})};
  records[1].ports[0].last_resort = true;
  EXPECT_TRUE(GraphOf(records, 1).links[0].last_resort);
  EXPECT_FALSE(GraphOf(records, 1).links[0].routed);
}

TEST(MakeGraph, ALinkIsRdmaWhenBothPortsAreOfOneLinkLayer) {
  std::vector<Record> records = {RecordOf(1, {2}), RecordOf(2, {1})};
  Port &a = records[0].ports[0], &b = records[1].ports[0];
  const auto kind = [&] { return GraphOf(records, 1).links.at(0).kind; };
  a.kind = PortKind::kRdma;
  EXPECT_EQ(kind(), PortKind::kTcp);
  b.kind = PortKind::kRdma;
  EXPECT_EQ(kind(), PortKind::kRdma);
  a.infiniband = true;
  EXPECT_EQ(kind(), PortKind::kTcp) << "IP may lead from the one to the other, queue pairs do not";
  b.infiniband = true;
  EXPECT_EQ(kind(), PortKind::kRdma);
  const Fabric fabric = GraphOf(records, 2);
  EXPECT_TRUE(fabric.nodes[0].ports[0].infiniband);
  EXPECT_EQ(ParseFabric(PrintFabric(fabric), "printed")->links[0].kind, PortKind::kRdma);
}

TEST(MakeGraph, HoldsWhatIsJoinedToItself) {
  const std::vector<Record> records = {RecordOf(1, {2}), RecordOf(2, {1}), RecordOf(3, {4}), RecordOf(4, {3}),
                                       RecordOf(5, {})};
  EXPECT_THAT(NamesOf(GraphOf(records, 2)), ElementsAre("host1", "host2"));
  EXPECT_THAT(NamesOf(GraphOf(records, 4)), ElementsAre("host3", "host4"));
  EXPECT_THAT(NamesOf(GraphOf(records, 5)), ElementsAre("host5"));
  EXPECT_THAT(GraphOf(records, 6).nodes, IsEmpty());
}

TEST(MakeGraph, DrainingNodesAreMarked) {
  std::vector<Record> records = {RecordOf(1, {2}), RecordOf(2, {1})};
  records[1].draining = true;
  EXPECT_FALSE(GraphOf(records, 1).nodes[0].draining);
  EXPECT_TRUE(GraphOf(records, 1).nodes[1].draining);
}

TEST(MakeGraph, TwinsAndPortsBehindASwitchAreToldApart) {
  std::vector<Record> records(3);
  for (NodeId node = 1; node <= 3; ++node) {
    Record& record = records[node - 1];
    record = RecordOf(node, {});
    const std::string host = "." + std::to_string(node);
    record.ports = {PortOf("a", "10.0.0" + host), PortOf("b", "10.0.1" + host)};
  }
  // Two cables between 1 and 2 in one subnet's worth of names, and b of all three behind a switch.
  records[0].neighbours = {{0, 2, "a", 0, false}, {1, 2, "b", 0, false}, {1, 3, "b", 0, false}};
  records[1].neighbours = {{0, 1, "a", 0, false}, {1, 1, "b", 0, false}, {1, 3, "b", 0, false}};
  records[2].neighbours = {{1, 1, "b", 0, false}, {1, 2, "b", 0, false}};
  EXPECT_EQ(GraphOf(records, 1).links.size(), 4u);
}

TEST(MakeGraph, NamesAreHostNamesAsFarAsTheyCanBe) {
  EXPECT_THAT(NamesOf({{1, "spark-1.lan"}, {2, "gpu node#2"}}), ElementsAre("spark-1.lan", "gpu-node-2"));
  EXPECT_THAT(NamesOf({{0x3f2a000000000001, ""}, {2, "B"}}), ElementsAre("B", "node-3f2a0000"));
  EXPECT_THAT(NamesOf({{1, std::string(200, 'x')}, {2, "B"}}), ElementsAre(std::string(64, 'x'), "B"));
}

TEST(MakeGraph, NodesOfOneNameAreToldApartByTheirIds) {
  EXPECT_THAT(NamesOf({{0x3f2a000000000001, "spark"}, {0x91bc000000000001, "spark"}, {1, "B"}}),
              ElementsAre("B", "spark-3f2a", "spark-91bc"));
  EXPECT_THAT(NamesOf({{0x3f2a000100000001, "spark"}, {0x3f2a000200000001, "spark"}}),
              ElementsAre("spark-3f2a0001", "spark-3f2a0002"));
  EXPECT_THAT(NamesOf({{0x3f2a000100000001, "spark"}, {0x3f2a000100000002, "spark"}}),
              ElementsAre("spark-3f2a000100000001", "spark-3f2a000100000002"));
  EXPECT_THAT(NamesOf({{1, "spark-3f2a"}, {0x3f2a000000000001, "spark"}, {0x91bc000000000001, "spark"}}),
              ElementsAre("spark-3f2a-0000", "spark-3f2a0000", "spark-91bc"))
      << "somebody else may be called like that";
  EXPECT_THAT(NamesOf({{0x3f2a000000000001, std::string(64, 'x')}, {0x91bc000000000001, std::string(70, 'x')}}),
              ElementsAre(std::string(59, 'x') + "-3f2a", std::string(59, 'x') + "-91bc"));
}

TEST(MakeGraph, ANameDoesNotDependOnNodesThatAreNotJoined) {
  const std::vector<Record> records = {RecordOf(1, {2}, "spark"), RecordOf(2, {1}), RecordOf(3, {}, "spark")};
  EXPECT_THAT(NamesOf(GraphOf(records, 1)), ElementsAre("spark", "host2"));
}

TEST(MakeGraph, LeavesOutWhatNoDeclarationHolds) {
  std::vector<Record> records = {RecordOf(1, {2, 3}), RecordOf(2, {1}), RecordOf(3, {1})};
  records[1].ports.push_back(PortOf("bare", ""));
  records[1].ports[0].addresses[0] = records[0].ports[0].addresses[0];
  Fabric fabric = GraphOf(records, 1);
  EXPECT_THAT(NamesOf(fabric), ElementsAre("host1", "host3")) << "no way to speak with one's own address";
  for (size_t i = 0; i < 2; ++i) {
    records[i].ports[0].addresses.push_back(*SocketAddress::Parse("fe80::" + std::to_string(i + 1)));
  }
  fabric = GraphOf(records, 1);
  EXPECT_THAT(NamesOf(fabric), ElementsAre("host1", "host2", "host3")) << "IPv6 will do";
  EXPECT_EQ(fabric.nodes[1].ports.size(), 1u);
  EXPECT_TRUE(ParseFabric(PrintFabric(fabric), "printed").has_value());
}

// Anything that decoders let through, with few names so that collisions are the rule.
std::vector<Record> ArbitraryRecords() {
  const auto nodes = *rc::gen::inRange<size_t>(1, 7);
  const std::vector<std::string> hosts = {"", "a", "a-0001", "b c", "node-00000000"};
  const std::vector<std::string> addresses = {"", "10.0.0.1", "10.0.0.2", "fe80::1", "fe80::2"};
  std::vector<Record> records;
  for (size_t i = 0; i < nodes; ++i) {
    Record record;
    record.node = (static_cast<NodeId>(*rc::gen::inRange(0, 3)) << 48) + i + 1;
    record.edition = {1, 1};
    record.name = *rc::gen::elementOf(hosts);
    for (const char* port : {"x", "y"}) {
      record.ports.push_back(PortOf(port, *rc::gen::elementOf(addresses), *rc::gen::element<uint32_t>(0, 10, 100)));
      record.ports.back().last_resort = *rc::gen::arbitrary<bool>();
      record.ports.back().kind = *rc::gen::element(PortKind::kTcp, PortKind::kRdma);
      record.ports.back().infiniband = record.ports.back().kind == PortKind::kRdma && *rc::gen::arbitrary<bool>();
    }
    records.push_back(record);
  }
  const auto claims = *rc::gen::inRange<size_t>(0, 20);
  for (size_t i = 0; i < claims; ++i) {
    const auto x = *rc::gen::inRange<size_t>(0, nodes), y = *rc::gen::inRange<size_t>(0, nodes);
    const auto p = *rc::gen::inRange<uint16_t>(0, 2), q = *rc::gen::inRange<uint16_t>(0, 2);
    const bool routed = *rc::gen::inRange(0, 3) == 0;
    if (x == y) continue;
    const uint32_t latency = *rc::gen::inRange<uint32_t>(0, 3);
    records[x].neighbours.push_back({p, records[y].node, records[y].ports[q].name, latency, routed});
    if (*rc::gen::inRange(0, 4) == 0) continue;  // a claim of one end
    records[y].neighbours.push_back({q, records[x].node, records[x].ports[p].name, latency, routed});
  }
  return records;
}

RC_GTEST_PROP(GraphProperty, IsADeclarationThatReadsBackTheSame, ()) {
  const std::vector<Record> records = ArbitraryRecords();
  const Fabric fabric = GraphOf(records, records[0].node);
  std::set<std::string> names;
  for (const Node& node : fabric.nodes) {
    RC_ASSERT(IsName(node.name));
    RC_ASSERT(names.insert(node.name).second);
  }
  const std::string text = PrintFabric(fabric);
  const auto again = ParseFabric(text, "printed");
  RC_ASSERT(again.has_value());
  RC_ASSERT(AgreementHash(*again) == AgreementHash(fabric));
  RC_ASSERT(PrintFabric(*again) == text);
  for (size_t i = 0; i < fabric.links.size(); ++i) {
    RC_ASSERT(again->links[i].last_resort == fabric.links[i].last_resort);
    RC_ASSERT(again->links[i].routed == fabric.links[i].routed);
    RC_ASSERT(again->links[i].kind == fabric.links[i].kind);
    RC_ASSERT(again->links[i].speed_mbit == fabric.links[i].speed_mbit);
  }
}

RC_GTEST_PROP(GraphProperty, IsTheSameWhoeverDrawsItAndInWhateverOrderRecordsCome, ()) {
  std::vector<Record> records = ArbitraryRecords();
  const Fabric fabric = GraphOf(records, records[0].node);
  const std::string text = PrintFabric(fabric);
  for (Record& record : records) {
    if (*rc::gen::arbitrary<bool>()) {
      std::swap(record.ports[0], record.ports[1]);
      for (Neighbour& neighbour : record.neighbours) neighbour.port = static_cast<uint16_t>(1 - neighbour.port);
    }
    std::reverse(record.neighbours.begin(), record.neighbours.end());
  }
  std::reverse(records.begin(), records.end());
  for (const Node& node : fabric.nodes) RC_ASSERT(PrintFabric(GraphOf(records, node.id)) == text);
}

}  // namespace
}  // namespace relay::fabric
