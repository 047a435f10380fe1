// Why a path is taken: sentences against fabrics made by hand, and properties over random ones.
#include "view/explain.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

namespace relay::view {
namespace {

using fabric::Fabric;

struct Cable {
  const char *a, *b;
  uint32_t speed = 1000, latency = 5;
  bool rdma = false, last_resort = false, routed = false;
};

// Nodes in the order in which they are named first; each cable has ports of its own, "ab" at A towards B.
Fabric FabricOf(const std::vector<Cable>& cables) {
  Fabric out;
  const auto node = [&out](const std::string& name) {
    for (size_t i = 0; i < out.nodes.size(); ++i) {
      if (out.nodes[i].name == name) return i;
    }
    fabric::Node fresh;
    fresh.name = name;
    fresh.id = out.nodes.size() + 1;
    out.nodes.push_back(fresh);
    return out.nodes.size() - 1;
  };
  for (const Cable& cable : cables) {
    fabric::Link link;
    const auto end = [&](const char* near, const char* far) {
      fabric::Port port;
      port.name = std::string(near) + far + std::to_string(out.links.size());
      port.speed_mbit = cable.speed;
      port.kind = cable.rdma ? fabric::PortKind::kRdma : fabric::PortKind::kTcp;
      port.last_resort = cable.last_resort && !cable.routed;
      const size_t index = node(near);
      out.nodes[index].ports.push_back(port);
      return fabric::LinkEnd{index, out.nodes[index].ports.size() - 1};
    };
    link.a = end(cable.a, cable.b);
    link.b = end(cable.b, cable.a);
    link.speed_mbit = cable.speed;
    link.latency_us = cable.latency;
    link.kind = cable.rdma ? fabric::PortKind::kRdma : fabric::PortKind::kTcp;
    link.routed = cable.routed;
    link.last_resort = cable.last_resort || cable.routed;
    out.links.push_back(link);
  }
  return out;
}

std::string TextOf(const Fabric& fabric, const char* from, const char* to) {
  return ExplanationText(fabric, Explain(fabric, *NodeNamed(fabric, from), *NodeNamed(fabric, to)));
}

TEST(Explain, AChainHasOneWay) {
  const Fabric fabric = FabricOf({{"A", "B"}, {"B", "C"}});
  EXPECT_EQ(TextOf(fabric, "A", "C"),
            "A AB0--BA0 B BC1--CB1 C: 2 links, 1 Gbit/s, tcp, 10 us\nthere is no other way\n");
  EXPECT_EQ(TextOf(fabric, "A", "A"), "A to itself: no link is needed, bytes stay on the node\n");
}

struct Case {
  const char* name;
  std::vector<Cable> cables;
  const char* why_not;
};

class WhyNot : public testing::TestWithParam<Case> {};

TEST_P(WhyNot, IsTheFirstDifference) {
  const Fabric fabric = FabricOf(GetParam().cables);
  const Explanation explanation = Explain(fabric, *NodeNamed(fabric, "A"), *NodeNamed(fabric, "C"));
  ASSERT_TRUE(explanation.reached);
  ASSERT_EQ(explanation.alternatives.size(), 1u) << ExplanationText(fabric, explanation);
  EXPECT_EQ(explanation.alternatives[0].why_not, GetParam().why_not);
  const auto json = nlohmann::json::parse(ExplanationJson(fabric, explanation));
  EXPECT_EQ(json["alternatives"][0]["why_not"], GetParam().why_not);
  EXPECT_EQ(json["path"]["nodes"][0], "A");
  EXPECT_EQ(json["path"]["links"].size(), explanation.path.links.size());
}

INSTANTIATE_TEST_SUITE_P(
    Reasons, WhyNot,
    testing::Values(
        Case{"Lan",
             {{"A", "B"}, {"B", "C"}, {"A", "C", 100000, 1, false, true}},
             "last resort: A-C (A/AC2 to C/CA2) is the management LAN"},
        Case{"Routed",
             {{"A", "B"}, {"B", "C"}, {"A", "C", 100000, 1, false, false, true}},
             "last resort: A-C (A/AC2 to C/CA2) is routed, there is no common wire"},
        Case{"Tcp",
             {{"A", "B", 1000, 5, true}, {"B", "C", 1000, 5, true}, {"A", "C", 100000}},
             "not RDMA-capable: A-C (A/AC2 to C/CA2) is tcp"},
        Case{"Narrow",
             {{"A", "B", 10000}, {"B", "C", 10000}, {"A", "C", 100}},
             "narrower: 100 Mbit/s at A-C (A/AC2 to C/CA2)"},
        Case{"Unknown", {{"A", "B"}, {"B", "C"}, {"A", "C", 0}}, "unknown speed at A-C (A/AC2 to C/CA2)"},
        Case{"Long", {{"A", "B"}, {"B", "C"}, {"A", "C"}}, "longer: 2 links instead of 1"},
        Case{"Latency", {{"A", "C", 1000, 5}, {"A", "C", 1000, 9}}, "slower: 9 us of latency instead of 5"},
        Case{"NoLatency", {{"A", "C", 1000, 5}, {"A", "C", 1000, 0}}, "latency unknown at A-C (A/AC1 to C/CA1)"},
        Case{"Equal", {{"A", "C"}, {"A", "C"}}, "as good: the first of equals is taken, on every node the same"}),
    [](const auto& instance) { return instance.param.name; });

TEST(Explain, ALinkWithOneRdmaEndIsTcpForItsOther) {
  Fabric fabric = FabricOf({{"A", "B", 1000, 5, true}, {"B", "C", 1000, 5, true}, {"A", "C", 100000}});
  fabric.nodes[*NodeNamed(fabric, "A")].ports[1].kind = fabric::PortKind::kRdma;
  const std::string text = TextOf(fabric, "A", "C");
  EXPECT_NE(text.find("not RDMA-capable: A-C (A/AC2 to C/CA2) is tcp, because C/CA2 is tcp"), std::string::npos)
      << text;
}

TEST(Explain, ADrainingNodeIsNamed) {
  Fabric fabric = FabricOf({{"A", "B"}, {"B", "C"}, {"A", "D"}, {"D", "E"}, {"E", "C"}});
  fabric.nodes[*NodeNamed(fabric, "B")].draining = true;
  const std::string text = TextOf(fabric, "A", "C");
  EXPECT_NE(text.find("A AD2--DA2 D DE3--ED3 E EC4--CE4 C: 3 links"), std::string::npos) << text;
  EXPECT_NE(text.find("not A AB0--BA0 B BC1--CB1 C: B is draining"), std::string::npos) << text;
  fabric.links.resize(2);
  const std::string none = TextOf(fabric, "A", "C");
  EXPECT_NE(none.find("no path leads from A to C"), std::string::npos) << none;
  EXPECT_NE(none.find("B is draining: it takes no new circuits through"), std::string::npos) << none;
}

TEST(Explain, WhereThereIsNoPathItSaysWhatEachSideReaches) {
  Fabric fabric = FabricOf({{"A", "B"}, {"C", "D"}});
  fabric.nodes[1].ports.push_back({"spare", {}, 1000, fabric::PortKind::kTcp, false});
  fabric.nodes[2].ports.push_back({"free0", {}, 1000, fabric::PortKind::kTcp, false});
  EXPECT_EQ(TextOf(fabric, "A", "C"),
            "no path leads from A to C\n  A reaches A, B\n  C reaches C, D\n"
            "  any cable between the two groups joins them: from A, B to C, D\n"
            "  ports without a link: B/spare; and C/free0\n");
  const auto json = nlohmann::json::parse(ExplanationJson(fabric, Explain(fabric, 0, 2)));
  EXPECT_EQ(json["reached"], false);
  EXPECT_EQ(json["reached_to"], nlohmann::json({"C", "D"}));
}

TEST(Explain, AMistypedNameIsCorrected) {
  const Fabric fabric = FabricOf({{"spark-1", "spark-2"}});
  EXPECT_EQ(NodeNamed(fabric, "spark-22").error().what,
            "the fabric has no node \"spark-22\", did you mean \"spark-2\"?");
  EXPECT_EQ(NodeNamed(fabric, "head").error().what, "the fabric has no node \"head\"; it has spark-1, spark-2");
}

TEST(Explain, AlternativesAreOtherPathsWithoutLoopsAndNeverBetter) {
  uint64_t state = 7;
  const auto draw = [&state](uint64_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
  };
  static const char* const kNames[] = {"A", "B", "C", "D", "E", "F"};
  for (int round = 0; round < 300; ++round) {
    std::vector<Cable> cables;
    for (int i = 0; i < 9; ++i) {
      const size_t a = draw(6), b = (a + 1 + draw(5)) % 6;
      cables.push_back({kNames[a], kNames[b], static_cast<uint32_t>(100 << draw(4)), static_cast<uint32_t>(draw(4)),
                        draw(2) == 0, draw(5) == 0, false});
    }
    const Fabric fabric = FabricOf(cables);
    const Explanation explanation = Explain(fabric, 0, fabric.nodes.size() - 1);
    if (!explanation.reached) {
      EXPECT_FALSE(explanation.reached_from.empty());
      continue;
    }
    std::set<std::vector<size_t>> seen = {explanation.path.links};
    for (const Alternative& other : explanation.alternatives) {
      EXPECT_TRUE(seen.insert(other.path.links).second) << "told twice";
      EXPECT_EQ(std::set<size_t>(other.path.nodes.begin(), other.path.nodes.end()).size(), other.path.nodes.size());
      EXPECT_EQ(other.path.nodes.front(), explanation.from);
      EXPECT_EQ(other.path.nodes.back(), explanation.to);
      EXPECT_FALSE(other.why_not.empty());
      EXPECT_FALSE(explanation.path.last_resort && !other.path.last_resort);
    }
  }
}

}  // namespace
}  // namespace relay::view
