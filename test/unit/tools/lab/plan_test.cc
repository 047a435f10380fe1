#include "lab/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "lab/wiring.h"
#include "unit/tools/lab/plan_of.h"

namespace relay::lab {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Plan PlanWith(const char* shape, Control control) {
  return MakePlan(DeclareShape(ParseShape(shape).value(), 1000).value(), {control}).value();
}

Plan PlanWith(const char* shape, AddressStyle style) {
  return MakePlan(DeclareShape(ParseShape(shape).value(), 1000, style).value(), {Control::kLan, style}).value();
}

constexpr PlanOptions kDeclared{Control::kLan, std::nullopt};

fabric::Fabric Declared(const char* json) { return fabric::ParseFabric(json, "f.json").value(); }

constexpr char kTwoNodes[] = R"({"version":1,"nodes":[
  {"name":"east","ports":[{"name":"eth1","addresses":["192.168.5.1","fe80::1","fd00::1"]}]},
  {"name":"west","ports":[{"name":"eth1","addresses":["192.168.5.2","fe80::2","fd00::2"]},
                          {"name":"eth9","addresses":["10.1.1.1"]}]}],
  "links":[{"ends":["east/eth1","west/eth1"]}]})";

TEST(Plan, InterfacesAreNamedAfterTheirLinkAndHaveASubnetPerCable) {
  const Plan plan = PlanOf("chain:3");
  ASSERT_EQ(plan.nodes.size(), 3u);
  ASSERT_EQ(plan.nodes[1].interfaces.size(), 2u);
  EXPECT_EQ(plan.nodes[1].interfaces[0].name, "ba");
  EXPECT_EQ(plan.nodes[1].interfaces[1].name, "bc");
  EXPECT_THAT(plan.nodes[0].interfaces[0].addresses, ElementsAre("10.77.0.1/30"));
  EXPECT_THAT(plan.nodes[1].interfaces[0].addresses, ElementsAre("10.77.0.2/30"));
  EXPECT_THAT(plan.nodes[1].interfaces[1].addresses, ElementsAre("10.77.0.5/30"));
}

TEST(Plan, ParallelCablesAreNumbered) {
  const Plan plan = PlanOf("ring:2");
  EXPECT_EQ(plan.nodes[0].interfaces[0].name, "ab");
  EXPECT_EQ(plan.nodes[0].interfaces[1].name, "ab2");
  EXPECT_EQ(plan.nodes[1].interfaces[1].name, "ba2");
}

TEST(Plan, EveryShapeHasItsOwnAddressesAndNamesThatTheKernelTakes) {
  for (const char* shape : {"chain:250", "ring:100", "star:65", "grid:10x20", "full:40"}) {
    const Plan plan = PlanOf(shape);
    std::set<std::string> addresses;
    size_t interfaces = 0;
    for (const PlanNode& node : plan.nodes) {
      std::set<std::string> names;
      for (const Interface& interface : node.interfaces) {
        EXPECT_LE(interface.name.size(), 15u);
        EXPECT_NE(interface.name, "lo") << shape;
        EXPECT_TRUE(names.insert(interface.name).second) << shape << " " << interface.name;
        addresses.insert(interface.addresses.begin(), interface.addresses.end());
        ++interfaces;
      }
    }
    EXPECT_EQ(addresses.size(), interfaces) << shape;
  }
}

TEST(Plan, WhatRanksReadIsTheFabricOfTheLab) {
  const Plan plan = PlanOf("ring:4");
  const fabric::Fabric read = fabric::ParseFabric(plan.fabric_text, "f.json").value();
  EXPECT_EQ(fabric::AgreementHash(read), fabric::AgreementHash(plan.fabric));
  EXPECT_EQ(read.links[0].speed_mbit, 1000u);
}

TEST(Plan, DeclaredAddressesAreJoinedOneToOne) {
  const Plan plan = MakePlan(Declared(kTwoNodes), kDeclared).value();
  EXPECT_THAT(plan.nodes[0].interfaces[0].addresses,
              ElementsAre("192.168.5.1 peer 192.168.5.2/32", "fe80::1/64 nodad", "fd00::1/128 nodad"));
  EXPECT_THAT(plan.nodes[1].interfaces[1].addresses, ElementsAre("10.1.1.1/32"));
}

// The lab's addresses of the first cable, at both ends, and of the second.
TEST(Plan, AddressesAreGivenInTheStyleThatWasAskedFor) {
  const auto addresses = [](AddressStyle style) {
    const Plan plan = PlanWith("ring:2", style);
    std::vector<std::string> out;
    for (size_t cable : {0, 1}) {
      for (size_t node : {0, 1}) out.push_back(plan.nodes[node].interfaces[cable].addresses.at(0));
    }
    return out;
  };
  EXPECT_THAT(addresses(AddressStyle::kPerCable),
              ElementsAre("10.77.0.1/30", "10.77.0.2/30", "10.77.0.5/30", "10.77.0.6/30"));
  EXPECT_THAT(addresses(AddressStyle::kPerPair),
              ElementsAre("10.80.0.1/28", "10.80.0.2/28", "10.80.0.3/28", "10.80.0.4/28"));
  EXPECT_THAT(addresses(AddressStyle::kShared),
              ElementsAre("10.77.0.1/16", "10.77.0.2/16", "10.77.0.3/16", "10.77.0.4/16"));
  EXPECT_THAT(addresses(AddressStyle::kReused),
              ElementsAre("10.77.0.1/24", "10.77.0.2/24", "10.77.0.1/24", "10.77.0.2/24"));
  EXPECT_THAT(addresses(AddressStyle::kUla),
              ElementsAre("fd77::1/64 nodad", "fd77::2/64 nodad", "fd77:0:0:1::1/64 nodad", "fd77:0:0:1::2/64 nodad"));
  EXPECT_THAT(addresses(AddressStyle::kLinkLocal), ElementsAre("fe80::77:0:1/64 nodad", "fe80::77:0:2/64 nodad",
                                                               "fe80::77:1:1/64 nodad", "fe80::77:1:2/64 nodad"));
}

TEST(Plan, ANodeIsToldFromTheOthersByItsAddressesInEveryStyle) {
  for (AddressStyle style : {AddressStyle::kPerCable, AddressStyle::kPerPair, AddressStyle::kShared,
                             AddressStyle::kReused, AddressStyle::kUla, AddressStyle::kLinkLocal}) {
    for (const char* shape : {"ring:2", "ring:4", "star:20", "full:12"}) {
      const Plan plan = PlanWith(shape, style);
      for (size_t n = 0; n < plan.nodes.size(); ++n) {
        std::vector<fabric::LocalInterface> shown;
        for (const fabric::Port& port : plan.fabric.nodes[n].ports) shown.push_back({port.name, port.addresses});
        EXPECT_EQ(fabric::FindSelf(plan.fabric, shown).value(), n) << shape;
      }
    }
  }
}

TEST(Plan, AStyleIsNamed) {
  EXPECT_EQ(ParseAddressStyle("link-local").value(), AddressStyle::kLinkLocal);
  EXPECT_EQ(ParseAddressStyle("v6").error().what,
            "--addresses v6: there are per-cable, per-pair, shared, reused, ula, link-local");
}

TEST(Plan, RefusesWhatCablesCannotBe) {
  EXPECT_THAT(MakePlan(Declared(R"({"version":1,"nodes":[
    {"name":"A","ports":[{"name":"x","addresses":["1.1.1.1"]}]}, {"name":"B","ports":[{"name":"x","addresses":["1.1.1.2"]}]},
    {"name":"C","ports":[{"name":"x","addresses":["1.1.1.3"]}]}],
    "links":[{"ends":["A/x","B/x"]},{"ends":["A/x","C/x"]}]})"),
                       kDeclared)
                  .error()
                  .what,
              HasSubstr("port A/x has several links"));
  for (const char* name : {"ctl", "lo", "sixteen-letters-"}) {
    const std::string json = std::string(R"({"version":1,"nodes":[{"name":"A","ports":[{"name":")") + name +
                             R"(","addresses":["1.1.1.1"]}]}]})";
    EXPECT_THAT(MakePlan(Declared(json.c_str()), kDeclared).error().what, HasSubstr("cannot be an interface"));
  }
}

TEST(Plan, ControlDecidesTheAddressThatRanksMeetAt) {
  EXPECT_EQ(PlanOf("chain:3").nodes[2].control_address, "10.88.0.3");
  EXPECT_EQ(PlanWith("chain:3", Control::kRoutes).nodes[2].control_address, "10.99.0.3");
  EXPECT_EQ(PlanWith("chain:3", Control::kNone).nodes[2].control_address, "10.77.0.6");
}

TEST(Plan, RoutesFollowTheFabric) {
  const Plan plan = PlanWith("chain:3", Control::kRoutes);
  ASSERT_EQ(plan.nodes[0].routes.size(), 2u);
  EXPECT_EQ(plan.nodes[0].routes[1].to, "10.99.0.3");
  EXPECT_EQ(plan.nodes[0].routes[1].via, "10.77.0.2");
  EXPECT_EQ(plan.nodes[0].routes[1].interface, "ab");
  EXPECT_TRUE(PlanOf("chain:3").nodes[0].routes.empty());
}

TEST(Plan, AnUnknownNodeIsAnsweredWithThoseThereAre) {
  EXPECT_EQ(FindNodeNamed(PlanOf("chain:3"), "C").value(), 2u);
  EXPECT_EQ(FindNodeNamed(PlanOf("chain:3"), "Q").error().what, "no node Q; there are A B C");
}

TEST(Wiring, EveryCableJoinsTwoNodesAndEveryIndexIsNew) {
  const std::vector<std::string> paths{"/n/A", "/n/B", "/n/C"};
  Plan plan = PlanWith("chain:3", Control::kNone);
  plan.mtu = 9000;
  EXPECT_EQ(HubLinks(plan, paths),
            "link add name ab index 100 mtu 9000 netns /n/A type veth peer name ba index 101 mtu 9000 netns /n/B\n"
            "link add name bc index 102 mtu 9000 netns /n/B type veth peer name cb index 103 mtu 9000 netns /n/C\n");
}

TEST(Wiring, APortWithoutACableIsParked) {
  const std::vector<std::string> paths{"/n/A", "/n/B"};
  const std::string batch = HubLinks(MakePlan(Declared(kTwoNodes), {Control::kNone, std::nullopt}).value(), paths);
  EXPECT_THAT(batch,
              HasSubstr("name park1-1 index 102 mtu 1500 type veth peer name eth9 index 103 mtu 1500 netns /n/B"));
}

TEST(Wiring, OnlyShapedLinksAndTheControlNetworkHaveQueues) {
  Plan none = PlanWith("chain:2", Control::kNone);
  EXPECT_EQ(NodeQueues(none, 0), "");
  EXPECT_EQ(HubQueues(none), "");
  none.nodes[0].interfaces[0].rate_kbit = 1000 * 1000;
  EXPECT_EQ(NodeQueues(none, 0), "qdisc add dev ab root tbf rate 1000mbit burst 262144 limit 2762144\n");
  EXPECT_EQ(NodeQueues(none, 1), "");
  const Plan lan = PlanOf("chain:2");
  EXPECT_THAT(NodeQueues(lan, 0), HasSubstr("dev ctl root tbf rate 100mbit"));
  EXPECT_THAT(HubQueues(lan), HasSubstr("dev ctl1 root tbf rate 100mbit"));
}

TEST(Wiring, ASlowQueueStillHoldsTheLargestPacket) {
  EXPECT_EQ(TokenBucket(100), "tbf rate 100kbit burst 73728 limit 73988");
  EXPECT_EQ(TokenBucket(400 * 1000 * 1000), "tbf rate 400000mbit burst 50000000 limit 1050000000");
}

TEST(Wiring, NodesForwardOnlyOnRoutes) {
  EXPECT_THAT(NodeLinks(PlanOf("chain:3"), 0), Not(HasSubstr(" via ")));
  EXPECT_THAT(NodeLinks(PlanWith("chain:3", Control::kRoutes), 0),
              HasSubstr("route add 10.99.0.3/32 via 10.77.0.2 dev ab src 10.99.0.1\n"));
}

TEST(Wiring, TheLanLeadsNowhereElse) {
  EXPECT_THAT(NodeLinks(PlanOf("chain:3"), 0),
              AllOf(HasSubstr("address add 10.88.0.1/24 dev ctl\n"), Not(HasSubstr("route"))));
}

TEST(Wiring, TheGatewayKnowsAWayToEveryLinkAddress) {
  const Plan plan = PlanWith("chain:3", Control::kGateway);
  EXPECT_THAT(NodeLinks(plan, 0), HasSubstr("route add default via 10.88.0.254 dev ctl\n"));
  const std::vector<std::string> paths{"/n/A", "/n/B", "/n/C"};
  EXPECT_THAT(HubLinks(plan, paths), AllOf(HasSubstr("address add 10.88.0.254/24 dev hub\n"),
                                           HasSubstr("route add 10.77.0.2/32 via 10.88.0.2 dev hub\n"),
                                           HasSubstr("route add 10.77.0.6/32 via 10.88.0.3 dev hub\n")));
}

TEST(Wiring, DeclaredIpv6AddressesAreJoinedByRoutes) {
  const Plan plan = MakePlan(Declared(kTwoNodes), kDeclared).value();
  EXPECT_THAT(NodeLinks(plan, 0), HasSubstr("link set dev eth1 up\nroute replace fd00::2/128 dev eth1\n"));
  EXPECT_THAT(InterfaceUp(plan, {1, 0}), HasSubstr("route replace fd00::1/128 dev eth1\n"));
}

TEST(Wiring, AnInterfaceThatComesUpAgainHasItsAddressesAndRoutes) {
  const Plan plan = PlanWith("chain:3", Control::kRoutes);
  EXPECT_EQ(InterfaceUp(plan, plan.fabric.links[1].a),
            "link set dev bc up\n"
            "address replace 10.77.0.5/30 dev bc\n"
            "route replace 10.99.0.3/32 via 10.77.0.6 dev bc src 10.99.0.2\n");
}

}  // namespace
}  // namespace relay::lab
