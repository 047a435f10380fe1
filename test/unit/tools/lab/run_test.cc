#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "lab/agents.h"
#include "lab/counters.h"
#include "lab/environment.h"
#include "lab/lab.h"
#include "lab/lines.h"
#include "lab/topology.h"
#include "unit/tools/lab/plan_of.h"

namespace relay::lab {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

TEST(Lines, AreWholeAndCarryThePrefixHoweverTheyCome) {
  LinePrefixer lines("A| ");
  EXPECT_EQ(lines.Feed("one\ntw"), "A| one\n");
  EXPECT_EQ(lines.Feed("o"), "");
  EXPECT_EQ(lines.Feed("\n\nthree"), "A| two\nA| \n");
  EXPECT_EQ(lines.Finish(), "A| three\n");
  EXPECT_EQ(lines.Finish(), "");
}

TEST(Lines, ALineWithoutEndIsCut) {
  LinePrefixer lines("A| ");
  size_t passed_on = 0;
  for (int i = 0; i < 100; ++i) passed_on += lines.Feed(std::string(10000, 'x')).size();
  EXPECT_GT(passed_on, 900000u);
}

TEST(Environment, SetsKeepsAndUnsets) {
  Environment environment(std::vector<std::string>{"A=1", "AB=2"});
  environment.SetUnlessSet("A", "9");
  environment.SetUnlessSet("C", "3");
  environment.Apply("D=x=y");
  environment.Apply("AB=");
  environment.Apply("NEVER");
  EXPECT_THAT(environment.list(), UnorderedElementsAre("A=1", "C=3", "D=x=y"));
  EXPECT_EQ(environment.Get("D"), "x=y");
  EXPECT_EQ(environment.Get("AB"), std::nullopt);
}

TEST(Environment, DescribesNodeAndRankButKeepsTheUsersChoiceOfPlugin) {
  Environment environment(std::vector<std::string>{"NCCL_NET_PLUGIN=mine"});
  DescribeNode(environment, Control::kLan, {"B", "/f.json", "/log", "/plugin.so", true});
  DescribeMaster(environment, "10.88.0.1");
  DescribeRank(environment, {3, 4, 1, 2});
  EXPECT_THAT(environment.list(),
              UnorderedElementsAre("NCCL_NET_PLUGIN=mine", "NCCL_NET=Relay", "NCCL_HOSTID=B", "NCCL_SOCKET_IFNAME==ctl",
                                   "NCCL_RELAY_FABRIC=/f.json", "NCCL_RELAY_SOCKET=@nccl-relay",
                                   "NCCL_RELAY_AGENT_LOG=/log", "NCCL_RELAY_AGENT=off", "RANK=3", "WORLD_SIZE=4",
                                   "LOCAL_RANK=1", "LOCAL_WORLD_SIZE=2", "MASTER_ADDR=10.88.0.1", "MASTER_PORT=29500"));
}

TEST(Environment, WithoutAControlNetworkNoInterfaceIsNamed) {
  Environment environment(std::vector<std::string>{"NCCL_SOCKET_IFNAME=eth0"});
  DescribeNode(environment, Control::kNone, {"B", "", "", "", false});
  EXPECT_EQ(environment.Get("NCCL_SOCKET_IFNAME"), std::nullopt);
  EXPECT_EQ(environment.Get("NCCL_RELAY_AGENT"), std::nullopt);
}

TEST(Agents, AutoMeansNodesWithoutARank) {
  const Plan plan = PlanOf("chain:4");
  const std::vector<size_t> ranks{3, 0};
  EXPECT_THAT(AgentNodes(plan, "auto", ranks).value(), ElementsAre(1, 2));
  EXPECT_THAT(AgentNodes(plan, "all", ranks).value(), ElementsAre(0, 1, 2, 3));
  EXPECT_TRUE(AgentNodes(plan, "none", ranks)->empty());
  EXPECT_THAT(AgentNodes(plan, "D,B,D", ranks).value(), ElementsAre(3, 1));
  EXPECT_THAT(AgentNodes(plan, "D,,B", ranks).error().what, HasSubstr("no node "));
}

constexpr char kDev[] =
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier "
    "compressed\n"
    "    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0   "
    "       0\n"
    "    ab:12345678901      20    0    0    0     0          0         0       30      40    0    0    0     0       "
    "0          0\n";
constexpr char kSnmp[] =
    "Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos\n"
    "Ip: 1 64 100 0 0 77 0\n"
    "Icmp: InMsgs\nIcmp: 5\n";

TEST(Counters, AreReadFromWhatTheKernelPrints) {
  const NodeCounters counters = ParseCounters("A", kDev, kSnmp);
  ASSERT_EQ(counters.interfaces.size(), 2u);
  EXPECT_EQ(counters.interfaces[0].name, "ab");
  EXPECT_EQ(counters.interfaces[0].rx_bytes, 12345678901u);
  EXPECT_EQ(counters.interfaces[0].rx_packets, 20u);
  EXPECT_EQ(counters.interfaces[0].tx_bytes, 30u);
  EXPECT_EQ(counters.interfaces[0].tx_packets, 40u);
  EXPECT_EQ(counters.ip_forwarded, 77u);
}

TEST(Counters, JsonHasANodeAndInEachItsInterfaces) {
  const std::string text = CountersJson({ParseCounters("A", kDev, kSnmp), ParseCounters("B", kDev, kSnmp)});
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(json["A"]["ab"]["rx_bytes"], 12345678901u);
  EXPECT_EQ(json["B"]["ab"]["tx_packets"], 40);
  EXPECT_EQ(json["B"]["ip_forwarded"], 77);
  EXPECT_THAT(CountersTable({ParseCounters("A", kDev, kSnmp)}), HasSubstr("12345678901"));
}

}  // namespace
}  // namespace relay::lab
