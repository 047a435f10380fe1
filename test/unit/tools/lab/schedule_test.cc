#include "lab/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lab/rates.h"
#include "lab/topology.h"
#include "unit/tools/lab/plan_of.h"

namespace relay::lab {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;
using fabric::LinkEnd;

Plan PlanAtRate(const char* shape, uint32_t rate_kbit) {
  Plan plan = PlanOf(shape);
  for (PlanNode& node : plan.nodes) {
    for (Interface& interface : node.interfaces) interface.rate_kbit = rate_kbit;
  }
  return plan;
}

std::string WhyNot(const Plan& plan, FaultKind kind, const char* text) {
  const Result<Fault> fault = ParseFault(plan, kind, text);
  return fault ? "" : fault.error().what;
}

LinkChange ChangeOf(const Plan& plan, FaultKind kind, const char* text, LinkState before) {
  const Fault fault = ParseFault(plan, kind, text).value();
  const LinkEnd end = fault.place.senders.at(0);
  return {end, before, After(plan, fault, end, before)};
}

LinkChange ChangeOf(const Plan& plan, FaultKind kind, const char* text) {
  return ChangeOf(plan, kind, text, BuiltState(plan, plan.fabric.links[0].a));
}

TEST(Place, IsEveryCableOfAPairOrOneAndBothWaysOrOne) {
  const Plan plan = PlanOf("ring:2");
  const auto at = [&](const char* text) { return FindPlace(plan.fabric, text)->senders; };
  EXPECT_THAT(at("A-B"), ElementsAre(LinkEnd{0, 0}, LinkEnd{1, 0}, LinkEnd{0, 1}, LinkEnd{1, 1}));
  EXPECT_EQ(at("B-A"), at("A-B"));
  EXPECT_THAT(at("A>B"), ElementsAre(LinkEnd{0, 0}, LinkEnd{0, 1}));
  EXPECT_THAT(at("B>A"), ElementsAre(LinkEnd{1, 0}, LinkEnd{1, 1}));
  EXPECT_THAT(at("A/ab2"), ElementsAre(LinkEnd{0, 1}, LinkEnd{1, 1}));
  EXPECT_THAT(at("B/ba2>"), ElementsAre(LinkEnd{1, 1}));
  EXPECT_TRUE(FindPlace(plan.fabric, "A>B")->one_way);
  EXPECT_TRUE(FindPlace(plan.fabric, "A/ab>")->one_way);
  EXPECT_FALSE(FindPlace(plan.fabric, "A/ab")->one_way);
}

TEST(Place, AWrongOneIsAnsweredWithThoseThereAre) {
  const Plan plan = PlanOf("chain:3");
  for (const char* wrong : {"A-C", "A", "", ">", "A>", "A-B-C", "A>B>"}) {
    EXPECT_EQ(FindPlace(plan.fabric, wrong).error().what,
              "\"" + std::string(wrong) + "\" names no link; there are A-B B-C");
  }
  for (const char* wrong : {"/", "/>", "A/", "A/xx", "A/ab>>"}) {
    EXPECT_EQ(FindPlace(plan.fabric, wrong).error().what,
              "\"" + std::string(wrong) + "\" names no link; there are the ports A/ab B/ba B/bc C/cb");
  }
  EXPECT_THAT(FindPlace(PlanOf("chain:40").fabric, "x").error().what, HasSubstr("T-U ..."));
}

TEST(Schedule, TimesAreSecondsOrMilliseconds) {
  EXPECT_EQ(ParseDuration("3").value(), 3s);
  EXPECT_EQ(ParseDuration("3s").value(), 3s);
  EXPECT_EQ(ParseDuration("0.25s").value(), 250ms);
  EXPECT_EQ(ParseDuration("40ms").value(), 40ms);
  for (const char* wrong : {"", "s", "ms", "-1s", "1m", "nan", "inf", "1e9", "3 s"}) {
    EXPECT_FALSE(ParseDuration(wrong).has_value()) << wrong;
  }
}

TEST(Schedule, HoldsAllFaultsOfARunInTheOrderOfTheirTimes) {
  RunOptions options;
  options.faults = {{FaultKind::kHeal, "A-B@3s"},
                    {FaultKind::kCut, "A-B@1s"},
                    {FaultKind::kStopAgent, "C@2s"},
                    {FaultKind::kCut, "A-B@3s"}};
  std::vector<std::string> texts;
  const std::vector<Fault> faults = ParseSchedule(PlanOf("chain:3"), options).value();
  for (const Fault& fault : faults) texts.push_back(fault.text);
  EXPECT_THAT(texts, ElementsAre("cut A-B@1s", "stop-agent C@2s", "heal A-B@3s", "cut A-B@3s"));
  options.faults.push_back({FaultKind::kKill, "Z@4s"});
  EXPECT_EQ(ParseSchedule(PlanOf("chain:3"), options).error().what, "--kill Z@4s: no node Z; there are A B C");
}

TEST(Schedule, AgentsAreAskedToEndAndStarted) {
  const Plan plan = PlanOf("chain:3");
  const Fault drain = ParseFault(plan, FaultKind::kDrainAgent, "B@2s").value();
  EXPECT_EQ(drain.text, "drain-agent B@2s");
  EXPECT_EQ(drain.node, 1U);
  EXPECT_FALSE(IsLinkFault(drain.kind));
  EXPECT_EQ(ParseFault(plan, FaultKind::kStartAgent, "C@3s")->text, "start-agent C@3s");
}

TEST(Schedule, EveryOptionIsReadAndSaysWhatIsWrong) {
  const Plan plan = PlanOf("chain:3");
  for (const FaultOption& option : kFaultOptions) {
    EXPECT_THAT(WhyNot(plan, option.kind, "Q-R@1s"), HasSubstr("Q-R")) << option.name;
    EXPECT_THAT(WhyNot(plan, option.kind, "A-B"), HasSubstr("says no time: write it like")) << option.name;
    EXPECT_THAT(WhyNot(plan, option.kind, "A-B@soon"), HasSubstr("is no duration")) << option.name;
  }
  EXPECT_THAT(WhyNot(plan, FaultKind::kSlow, "A-B@1s"), HasSubstr("says no value: write it like A-B=1%@3s"));
  EXPECT_THAT(WhyNot(plan, FaultKind::kStop, "B=1@1s"), HasSubstr("takes no value: write it like B@3s"));
  EXPECT_THAT(WhyNot(plan, FaultKind::kCut, "A>B@1s"), HasSubstr("a cable is cut both ways"));
  for (const char* wrong : {"A-B=@1s", "A-B=0%@1s", "A-B=101%@1s", "A-B=5@1s", "A-B=-1mbit@1s", "A-B=nan%@1s"}) {
    EXPECT_THAT(WhyNot(plan, FaultKind::kSlow, wrong), HasSubstr("a rate is written like")) << wrong;
  }
  for (const char* wrong : {"A-B=1@1s", "A-B=101%@1s", "A-B=-1%@1s", "A-B=x@1s"}) {
    EXPECT_THAT(WhyNot(plan, FaultKind::kLoss, wrong), HasSubstr("a loss is 0% to 100%")) << wrong;
  }
  for (const char* wrong : {"A-B=1279@1s", "A-B=65536@1s", "A-B=1500b@1s", "A-B=@1s"}) {
    EXPECT_THAT(WhyNot(plan, FaultKind::kMtu, wrong), HasSubstr("an MTU is 1280 to 65535")) << wrong;
  }
  for (const char* wrong : {"A-B=67@1s", "A-B=65536@1s", "A-B=1500b@1s", "A-B=@1s"}) {
    EXPECT_THAT(WhyNot(plan, FaultKind::kNarrow, wrong), HasSubstr("a packet has 68 to 65535 bytes")) << wrong;
  }
}

TEST(Schedule, APercentageIsOfTheRateOrOfTheDeclaredSpeed) {
  EXPECT_EQ(ChangeOf(PlanOf("chain:2"), FaultKind::kSlow, "A-B=1%@0").to.rate_kbit, 10000u);
  EXPECT_EQ(ChangeOf(PlanAtRate("chain:2", 50000), FaultKind::kSlow, "A-B=2.5%@0").to.rate_kbit, 1250u);
  EXPECT_EQ(ChangeOf(PlanOf("chain:2"), FaultKind::kSlow, "A-B=500kbit@0").to.rate_kbit, 500u);
  EXPECT_EQ(ChangeOf(PlanOf("chain:2"), FaultKind::kSlow, "A-B=2gbit@0").to.rate_kbit, 2000000u);
  Plan unknown = PlanOf("chain:2");
  unknown.fabric.nodes[1].ports[0].speed_mbit = 0;
  EXPECT_THAT(WhyNot(unknown, FaultKind::kSlow, "A-B=1%@0"), HasSubstr("neither a rate nor a declared speed"));
  EXPECT_EQ(WhyNot(unknown, FaultKind::kSlow, "A>B=1%@0"), "");
}

TEST(LinkState, FaultsBecomeCommands) {
  const Plan plan = PlanOf("chain:2");
  const LinkChange cut = ChangeOf(plan, FaultKind::kCut, "A-B@0");
  EXPECT_EQ(IpCommands(plan, cut), "link set dev ab down\n");
  EXPECT_EQ(TcCommands(plan, cut) + NftCommands(plan, cut), "");
  EXPECT_EQ(TcCommands(plan, ChangeOf(plan, FaultKind::kDrop, "A-B@0")), "qdisc replace dev ab root blackhole\n");
  EXPECT_THAT(TcCommands(plan, ChangeOf(plan, FaultKind::kSlow, "A-B=10mbit@0")),
              HasSubstr("dev ab root tbf rate 10mbit"));
  EXPECT_EQ(IpCommands(plan, ChangeOf(plan, FaultKind::kMtu, "A-B=1400@0")), "link set dev ab mtu 1400\n");
  const LinkChange loss = ChangeOf(plan, FaultKind::kLoss, "A-B=1%@0");
  EXPECT_THAT(NftCommands(plan, loss), HasSubstr("hook ingress device \"ba\" priority 0"));
  EXPECT_THAT(NftCommands(plan, loss), HasSubstr("numgen random mod 1000000 < 10000 drop"));
  const LinkChange narrow = ChangeOf(plan, FaultKind::kNarrow, "A-B=1500@0");
  EXPECT_EQ(IpCommands(plan, narrow), "link set dev ab gso_max_segs 1\n");
  EXPECT_THAT(NftCommands(plan, narrow), HasSubstr("meta length > 1500 drop"));
  LinkState both = loss.to;
  both.longest = 1500;
  EXPECT_THAT(NftCommands(plan, {loss.end, loss.from, both}),
              testing::AllOf(HasSubstr("< 10000 drop"), HasSubstr("> 1500 drop")));
}

TEST(LinkState, HealUndoesEverything) {
  const Plan plan = PlanAtRate("chain:2", 1000000);
  const LinkChange heal = ChangeOf(plan, FaultKind::kHeal, "A-B@0", {true, true, 10, 10000, 1400, 1300});
  EXPECT_EQ(heal.to, BuiltState(plan, heal.end));
  EXPECT_EQ(IpCommands(plan, heal),
            "link set dev ab mtu 1500\nlink set dev ab gso_max_segs 65535\nlink set dev ab up\naddress replace "
            "10.77.0.1/30 dev ab\n");
  EXPECT_EQ(TcCommands(plan, heal), "qdisc replace dev ab root tbf rate 1000mbit burst 262144 limit 2762144\n");
  EXPECT_EQ(NftCommands(plan, heal), "add table netdev lab_loss_0\ndelete table netdev lab_loss_0\n");
  const Plan unshaped = PlanOf("chain:2");
  EXPECT_EQ(TcCommands(unshaped, ChangeOf(unshaped, FaultKind::kHeal, "A-B@0", {false, true, 0, 0, 1500, 0})),
            "qdisc replace dev ab root noqueue\n");
}

TEST(LinkState, OneFaultLeavesTheOthersAlone) {
  const Plan plan = PlanOf("chain:2");
  const LinkState dropping{false, true, 0, 0, 1500, 0};
  const LinkChange slow = ChangeOf(plan, FaultKind::kSlow, "A-B=10mbit@0", dropping);
  EXPECT_EQ(TcCommands(plan, slow), "qdisc replace dev ab root blackhole\n");
  EXPECT_TRUE(slow.to.drop);
  const LinkChange again = ChangeOf(plan, FaultKind::kDrop, "A-B@0", dropping);
  EXPECT_EQ(IpCommands(plan, again) + TcCommands(plan, again) + NftCommands(plan, again), "");
}

TEST(Rate, IsMegabitsOrGigabits) {
  EXPECT_EQ(ParseRate("").value(), 0u);
  EXPECT_EQ(ParseRate("1gbit").value(), 1000u);
  EXPECT_EQ(ParseRate("2.5gbit").value(), 2500u);
  EXPECT_EQ(ParseRate("100mbit").value(), 100u);
  for (const char* wrong : {"1", "gbit", "-1gbit", "1kbit", "0mbit", "9999gbit", "nangbit"}) {
    EXPECT_FALSE(ParseRate(wrong).has_value()) << wrong;
  }
}

TEST(Rate, MayBeOfALinkAndOfOneDirection) {
  const std::vector<std::string> texts{"A-B=2gbit", "1gbit", "A>B=100mbit"};
  const Rates rates = Rates::Parse(texts).value();
  fabric::Fabric declared = DeclareShape(ParseShape("chain:3").value(), rates.common_mbit()).value();
  ASSERT_TRUE(rates.Declare(declared).has_value());
  EXPECT_EQ(declared.nodes[0].ports[0].speed_mbit, 100u);
  EXPECT_EQ(declared.nodes[1].ports[0].speed_mbit, 2000u);
  EXPECT_EQ(declared.links[0].speed_mbit, 100u);
  EXPECT_EQ(declared.links[1].speed_mbit, 1000u);
  Plan plan = MakePlan(declared, {}).value();
  ASSERT_TRUE(rates.Shape(plan).has_value());
  EXPECT_EQ(plan.nodes[0].interfaces[0].rate_kbit, 100000u);
  EXPECT_EQ(plan.nodes[1].interfaces[0].rate_kbit, 2000000u);
  EXPECT_EQ(plan.nodes[2].interfaces[0].rate_kbit, 1000000u);
  EXPECT_EQ(fabric::ParseFabric(plan.fabric_text, "f.json")->links[0].speed_mbit, 100u);
  const std::vector<std::string> nowhere{"A-Q=1gbit"};
  EXPECT_THAT(Rates::Parse(nowhere)->Declare(declared).error().what, HasSubstr("\"A-Q\" names no link"));
}

}  // namespace
}  // namespace relay::lab
