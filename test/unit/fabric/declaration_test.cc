#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "unit/fabric/sample_fabrics.h"

namespace relay::fabric {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Complaint(std::string_view json) {
  const auto fabric = ParseFabric(json, "f.json");
  if (fabric) return "none";
  EXPECT_EQ(fabric.error().code, ErrorCode::kUsage);
  return fabric.error().what;
}

// A declaration of nodes A and B with these ports' addresses and links.
std::string Pair(const std::string& a, const std::string& b, const std::string& links) {
  return "{\"version\":1,\"nodes\":[\n{\"name\":\"A\",\"ports\":[{\"name\":\"x\",\"addresses\":[" + a +
         "]}]},\n{\"name\":\"B\",\"ports\":[{\"name\":\"y\",\"addresses\":[" + b + "]}]}],\n\"links\":[\n" + links +
         "]}";
}

TEST(Declaration, ReadsNodesPortsAndLinks) {
  const Fabric fabric = Chain();
  EXPECT_EQ(fabric.name, "chain-3");
  ASSERT_EQ(fabric.nodes.size(), 3u);
  EXPECT_EQ(fabric.nodes[1].name, "B");
  EXPECT_NE(fabric.nodes[1].id, 0u);
  ASSERT_EQ(fabric.nodes[1].ports.size(), 2u);
  EXPECT_EQ(fabric.nodes[1].ports[1].addresses[1].HostText(), "fe80::1");
  ASSERT_EQ(fabric.links.size(), 2u);
  EXPECT_EQ(fabric.links[1].a, (LinkEnd{2, 0}));
  EXPECT_EQ(fabric.links[1].b, (LinkEnd{1, 1}));
  EXPECT_EQ(fabric.links[0].latency_us, 5u);
}

TEST(Declaration, ALinkWithoutSpeedHasThatOfItsSlowerPortAsFarAsKnown) {
  EXPECT_EQ(Chain().links[0].speed_mbit, 1000u);
  EXPECT_EQ(Chain().links[1].speed_mbit, 1500u);
  Fabric fabric = Chain();
  EXPECT_EQ(SpeedOfPorts(fabric, fabric.links[1]), 2000u) << "C/cb declares none";
}

TEST(Declaration, ALinkIsRdmaOnlyWhenBothPortsAre) {
  const std::string both = R"({"version":1,"nodes":[
    {"name":"A","ports":[{"name":"x","addresses":["1.1.1.1"],"kind":"rdma"}]},
    {"name":"B","ports":[{"name":"y","addresses":["1.1.1.2"],"kind":"rdma"},{"name":"z","addresses":["1.1.2.1"]}]},
    {"name":"C","ports":[{"name":"x","addresses":["1.1.2.2"],"kind":"rdma"}]}],
    "links":[{"ends":["A/x","B/y"]},{"ends":["B/z","C/x"]}]})";
  const Fabric fabric = ParseFabric(both, "f").value();
  EXPECT_EQ(fabric.links[0].kind, PortKind::kRdma);
  EXPECT_EQ(fabric.links[1].kind, PortKind::kTcp);
}

TEST(Declaration, TheLinkLayersOfAnRdmaLinkAgree) {
  const auto fabric = [](const std::string& a, const std::string& b) {
    return ParseFabric(R"({"version":1,"nodes":[
      {"name":"A","ports":[{"name":"x","addresses":["1.1.1.1"],"kind":"rdma")" +
                           a + R"(}]},
      {"name":"B","ports":[{"name":"y","addresses":["1.1.1.2"])" +
                           b + R"(,"kind":"rdma"}]}],
      "links":[{"ends":["A/x","B/y"]}]})",
                       "f")
        .value();
  };
  const std::string infiniband = R"(,"link_layer":"infiniband")", ethernet = R"(,"link_layer":"ethernet")";
  EXPECT_EQ(fabric(infiniband, infiniband).links[0].kind, PortKind::kRdma);
  EXPECT_EQ(fabric(ethernet, "").links[0].kind, PortKind::kRdma) << "Ethernet is what is meant where nothing is said";
  EXPECT_EQ(fabric(infiniband, "").links[0].kind, PortKind::kTcp);
  const Fabric mixed = fabric(infiniband, ethernet);
  EXPECT_TRUE(mixed.nodes[0].ports[0].infiniband);
  EXPECT_FALSE(mixed.nodes[1].ports[0].infiniband);
  const std::string text = PrintFabric(mixed);
  EXPECT_THAT(text, HasSubstr(R"("kind": "rdma", "link_layer": "infiniband"})"));
  EXPECT_EQ(PrintFabric(*ParseFabric(text, "printed")), text);
}

TEST(Declaration, WhatIsPrintedIsReadBackAsTheSame) {
  const Fabric fabric = Chain();
  const std::string text = PrintFabric(fabric);
  const Fabric again = ParseFabric(text, "printed").value();
  EXPECT_EQ(PrintFabric(again), text);
  EXPECT_EQ(AgreementHash(again), AgreementHash(fabric));
  EXPECT_EQ(again.name, fabric.name);
  EXPECT_EQ(again.links[1].speed_mbit, 1500u);
  EXPECT_EQ(again.links[0].latency_us, 5u);
  EXPECT_EQ(again.nodes[2].id, fabric.nodes[2].id);
}

TEST(Declaration, ANodeAloneIsAFabric) { EXPECT_EQ(Complaint(R"({"version":1,"nodes":[{"name":"A"}]})"), "none"); }

struct Wrong {
  const char* json;
  const char* complaint;
};

class WrongDeclaration : public ::testing::TestWithParam<Wrong> {};

TEST_P(WrongDeclaration, IsRefusedWithLineAndReason) { EXPECT_EQ(Complaint(GetParam().json), GetParam().complaint); }

INSTANTIATE_TEST_SUITE_P(
    Structure, WrongDeclaration,
    ::testing::Values(
        Wrong{"[]", "f.json:1: the fabric must be an object, not an array"},
        Wrong{"{\n}", "f.json:1: \"version\" is missing; this build reads version 1"},
        Wrong{"{\"version\":\n2,\"nodes\":[]}", "f.json:2: version 2 is unknown; this build reads version 1"},
        Wrong{"{\"version\":\n\n1\n}", "f.json:1: \"nodes\" is missing"},
        Wrong{"{\"version\":-1}",
              "f.json:1: \"version\" must be a number, not a number that is negative, not whole or too large"},
        Wrong{"{\"version\":1,\"nodes\":[]}", "f.json:1: a fabric has at least one node"},
        Wrong{"{\"version\":1,\n\"node\":[]}", "f.json:2: unknown key \"node\" in the fabric, did you mean \"nodes\"?"},
        Wrong{"{\"version\":1,\n\"version\":1}", "f.json:2: \"version\" is given twice, first on line 1"},
        Wrong{"{\"version\":1,\"name\":\"a b\"}",
              "f.json:1: the fabric's name \"a b\" is not 1 to 64 of the characters A-Z a-z 0-9 . _ -"},
        Wrong{"{\"version\":1,\"nodes\":[\n{\"ports\":[]}]}", "f.json:2: a node has no \"name\""},
        Wrong{"{\"version\":1,\"nodes\":[{\"name\":\"A\"},\n{\"name\":\"A\"}]}",
              "f.json:2: node A is declared twice, first on line 1"},
        Wrong{"{\"version\":1,\"nodes\":[{\"name\":\"A\",\"ports\":[\n{\"adresses\":[]}]}]}",
              "f.json:2: unknown key \"adresses\" in a port, did you mean \"addresses\"?"},
        Wrong{"{\"version\":1,\"nodes\":[{\"name\":\"A\",\"ports\":[\n{\"name\":\"x\"}]}]}",
              "f.json:2: port A/x has no \"addresses\""},
        Wrong{"{\"version\":1,\"nodes\":[{\"name\":\"A\",\"ports\":[\n{\"name\":\"x\",\"addresses\":[]}]}]}",
              "f.json:2: port A/x needs at least one address"},
        Wrong{"{\"version\":1,\"nodes\":[{\"name\":\"A\",\"ports\":[\n{\"name\":\"x\",\"addresses\":[\"1.1.1.1\"]},\n"
              "{\"name\":\"x\",\"addresses\":[\"1.1.1.2\"]}]}]}",
              "f.json:3: port A/x is declared twice, first on line 2"},
        Wrong{"{\"version\":1,\"nodes\":[{\"name\":\"A\",\"ports\":[\n{\"name\":\"x\",\"addresses\":[\"1.1.1.1\"],\n"
              "\"speed\":4294967296}]}]}",
              "f.json:3: the speed 4294967296 is more than 4294967295"},
        Wrong{"{\"version\":1,\"nodes\":[{\"name\":\"A\",\"ports\":[\n{\"name\":\"x\",\"addresses\":[\"1.1.1.1\"],\n"
              "\"kind\":\"ib\"}]}]}",
              "f.json:3: kind \"ib\" is neither \"tcp\" nor \"rdma\""},
        Wrong{"{\"version\":1,\"nodes\":[{\"name\":\"A\",\"ports\":[\n{\"name\":\"x\",\"addresses\":[\"1.1.1.1\"],\n"
              "\"kind\":\"rdma\",\"link_layer\":\"ib\"}]}]}",
              "f.json:3: link layer \"ib\" is neither \"ethernet\" nor \"infiniband\""},
        Wrong{"{\"version\":1,\"nodes\":[{\"name\":\"A\",\"ports\":[\n{\"name\":\"x\",\"addresses\":[\"1.1.1.1\"],\n"
              "\"link_layer\":\"infiniband\"}]}]}",
              "f.json:3: port A/x has a link layer, but is not of kind \"rdma\""}));

TEST(Declaration, WhatIsNoAddressIsNamedWithItsPort) {
  for (const char* wrong : {"\"10.0.0.1/24\"", "\"eth0\"", "\"fe80::1%eth0\"", "\"\"", "\"10.0.0.256\""}) {
    EXPECT_THAT(Complaint(Pair(wrong, "\"1.1.1.2\"", "")), HasSubstr("of port A/x is not an address")) << wrong;
  }
  EXPECT_THAT(Complaint(Pair("\"::1\",\n\"0::1\"", "\"1.1.1.2\"", "")),
              StartsWith("f.json:3: \"0::1\" of port A/x is given twice"));
}

TEST(Declaration, ALinkJoinsTwoKnownPortsOfTwoNodesOnce) {
  const std::string good = "{\"ends\":[\"A/x\",\"B/y\"]}";
  const auto link = [](const std::string& links) { return Complaint(Pair("\"1.1.1.1\"", "\"1.1.1.2\"", links)); };
  EXPECT_EQ(link(good), "none");
  EXPECT_EQ(link(good + ",\n{\"ends\":[\"B/y\",\"A/x\"]}"),
            "f.json:6: the link B/y to A/x is declared twice, first on line 5");
  EXPECT_EQ(link("{\"ends\":[\"A/x\",\"A/x\"]}"), "f.json:5: a link joins two nodes, but A/x and A/x are one");
  EXPECT_EQ(link("{\"ends\":[\"A/x\"]}"), "f.json:5: a link has two ends, like [\"A/eth1\", \"B/eth1\"]");
  EXPECT_EQ(link("{\"ends\":[\"A/x\",\n\"C/y\"]}"), "f.json:6: link to unknown node \"C\"");
  EXPECT_EQ(link("{\"ends\":[\"A/x\",\n\"B/z\"]}"), "f.json:6: node B has no port \"z\"");
  EXPECT_EQ(link("{\"ends\":[\"A/x\",\n\"By\"]}"),
            "f.json:6: \"By\" is not an end of a link: write it like \"A/eth1\", node and port");
  EXPECT_EQ(Complaint(Pair("\"1.1.1.1\"", "\"fe80::1\"", good)),
            "f.json:5: A/x and B/y have no address family in common (IPv4 or IPv6)");
  EXPECT_EQ(Complaint(Pair("\"1.1.1.1\"", "\"1.1.1.1\"", good)),
            "f.json:5: A/x and B/y share the address 1.1.1.1 and have no other address family in common");
}

TEST(Declaration, ASyntaxErrorNamesItsLine) {
  EXPECT_THAT(Complaint("{\"version\":1,\n\"nodes\":[\n}"), StartsWith("f.json:3: syntax error"));
  EXPECT_THAT(Complaint("{\"version\":1}\n\nx"), StartsWith("f.json:3: syntax error"));
  EXPECT_THAT(Complaint(""), StartsWith("f.json:1: syntax error"));
  EXPECT_THAT(Complaint("{\"version\":1,\n\"name\":\"a\nb\"}"), HasSubstr("control character"));
}

TEST(Declaration, ANumberIsOnTheLineWhereItStandsThoughTheReaderLooksPastIt) {
  EXPECT_THAT(Complaint("{\"version\":7\n\n,\"nodes\":[]}"), StartsWith("f.json:1: version 7"));
  EXPECT_THAT(Complaint("{\"version\":7\n}"), StartsWith("f.json:1: version 7"));
}

TEST(Declaration, DepthAndSizesAreBounded) {
  EXPECT_THAT(Complaint(std::string(1000000, '[')), HasSubstr("nested too deeply"));
  std::string nodes;
  for (int i = 0; i < 20001; ++i) nodes += (i ? ",{\"name\":\"n" : "{\"name\":\"n") + std::to_string(i) + "\"}";
  EXPECT_THAT(Complaint("{\"version\":1,\"nodes\":[" + nodes + "]}"), HasSubstr("more than the limit of 20000"));
  std::string keys = "{\"version\":1";
  for (int i = 0; i < 200; ++i) keys += ",\"k" + std::to_string(i) + "\":1";
  EXPECT_THAT(Complaint(keys + "}"), HasSubstr("too many keys"));
  EXPECT_THAT(Complaint("{\"version\":1,\"name\":\"" + std::string(65, 'a') + "\"}"), HasSubstr("is not 1 to 64"));
}

RC_GTEST_PROP(DeclarationProperty, AnyDamageIsEitherReadOrRefusedWithALine, ()) {
  std::string text = kChain;
  const auto edits = *rc::gen::inRange(1, 6);
  for (int i = 0; i < edits; ++i) {
    const auto at = *rc::gen::inRange<size_t>(0, text.size());
    switch (*rc::gen::inRange(0, 3)) {
      case 0:
        text[at] = *rc::gen::arbitrary<char>();
        break;
      case 1:
        text.erase(at, *rc::gen::inRange<size_t>(1, 20));
        break;
      default:
        text.insert(at, text.substr(*rc::gen::inRange<size_t>(0, text.size()), 10));
        break;
    }
    if (text.empty()) break;
  }
  const auto fabric = ParseFabric(text, "f");
  if (fabric) {
    RC_ASSERT(ParseFabric(PrintFabric(*fabric), "again").has_value());
  } else {
    RC_ASSERT(fabric.error().what.rfind("f:", 0) == 0u);
  }
}

}  // namespace
}  // namespace relay::fabric
