// What many link states do together, on cables that delay and lose messages.
#include <gtest/gtest.h>

#include <cstdio>

#include "unit/fabric/flooding_simulation.h"

namespace relay::fabric {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr FloodingSimulation::Options kLossy{1, 10, std::chrono::microseconds(100), milliseconds(30)};

// A ring of agents 0 to nodes - 1, cable i from i to the next, all started and agreed.
void MakeRing(FloodingSimulation& simulation, size_t nodes) {
  for (size_t i = 0; i < nodes; ++i) simulation.AddAgent(1000 + i);
  for (size_t i = 0; i < nodes; ++i) simulation.AddCable(i, (i + 1) % nodes);
  simulation.StartAll();
  simulation.RaiseAll();
  ASSERT_LT(simulation.RunUntilAgreed(seconds(60)), seconds(60));
  ASSERT_EQ(simulation.GraphAt(0).links.size(), nodes);
}

TEST(Flooding, TwoHundredAgentsOnLossyCablesComeToOneFabric) {
  FloodingSimulation simulation(kLossy);
  simulation.MakeConnected(200, 400, 6);
  simulation.StartAllJoined();
  for (size_t i = 0; i < 100; ++i) {
    const size_t cable = simulation.Draw(simulation.cables());
    simulation.SetCable(cable, i % 2 == 1);
    if (simulation.Draw(2) == 0) simulation.SetCable(cable, i % 2 == 0);
    simulation.RunFor(milliseconds(20));
  }
  simulation.RaiseAll();
  const Duration took = simulation.RunUntilAgreed(seconds(120));
  std::printf("200 agents, 400 cables, 10 %% lost: agreed %s after the last change\n", SecondsText(took).c_str());
  ASSERT_LE(took, seconds(60));
  const Fabric fabric = simulation.GraphAt(0);
  EXPECT_EQ(fabric.nodes.size(), 200u);
  EXPECT_EQ(fabric.links.size(), 400u);
  simulation.RunFor(seconds(3));
  EXPECT_TRUE(simulation.Agreed()) << "and stay there";
  EXPECT_EQ(simulation.refused(), 0u);
}

struct Traffic {
  size_t nodes, links;
  uint64_t down, up;  // records sent for one link that goes, that comes back
};

// What one link costs in a quiet fabric without loss, on the mean of some links.
Traffic TrafficOfOneLink(size_t nodes, size_t links) {
  constexpr size_t kTries = 5;
  FloodingSimulation simulation({7, 0, std::chrono::microseconds(100), milliseconds(2)});
  simulation.MakeConnected(nodes, links, nodes);
  simulation.StartAllJoined();
  simulation.RunFor(seconds(10));
  EXPECT_TRUE(simulation.Agreed());
  Traffic traffic{nodes, links, 0, 0};
  for (size_t i = 0; i < kTries; ++i) {
    size_t cable = simulation.Draw(links);
    while (!simulation.JoinedWithout(cable)) cable = simulation.Draw(links);
    for (uint64_t* count : {&traffic.down, &traffic.up}) {
      const uint64_t before = simulation.records_sent();
      simulation.SetCable(cable, count == &traffic.up);
      simulation.RunFor(milliseconds(200));
      EXPECT_TRUE(i > 0 || simulation.Agreed());
      *count += simulation.records_sent() - before;
    }
  }
  traffic.down /= kTries;
  traffic.up /= kTries;
  return traffic;
}

// A change of one link is a new record of each of its two ends, and a record crosses a link at most once each way: four
// per link. Where the link comes back its ends compare tables too, which may bring the two records a second time.
constexpr uint64_t kRecordsPerLink = 4;
constexpr uint64_t kRecordsOfComparison = 4;

TEST(Flooding, AChangeCostsRecordsAsThereAreLinksNotAsThereAreNodesSquared) {
  const std::pair<size_t, size_t> sizes[] = {{25, 50}, {50, 100}, {100, 200}, {200, 400},  // two links a node
                                             {50, 60}, {50, 200}, {50, 400},  {25, 300}};  // to a full mesh
  std::printf("  nodes  links  records per link that goes  comes  per link  per node squared\n");
  double fewest = 1e9, most = 0;
  for (const auto& [nodes, links] : sizes) {
    const Traffic traffic = TrafficOfOneLink(nodes, links);
    const double per_link = static_cast<double>(traffic.down) / static_cast<double>(links);
    std::printf("  %5zu  %5zu  %26lu  %5lu  %8.2f  %16.4f\n", nodes, links, static_cast<unsigned long>(traffic.down),
                static_cast<unsigned long>(traffic.up), per_link,
                static_cast<double>(traffic.down) / static_cast<double>(nodes * nodes));
    EXPECT_LE(traffic.down, kRecordsPerLink * links);
    EXPECT_LE(traffic.up, kRecordsPerLink * links + kRecordsOfComparison);
    EXPECT_GE(traffic.down + 2, 2 * (nodes - 1)) << "or somebody was not told";
    if (links != 2 * nodes) continue;
    fewest = std::min(fewest, per_link);
    most = std::max(most, per_link);
  }
  EXPECT_LE(most, fewest * 1.25) << "eight times the nodes at as many links a node: eight times the records";
}

TEST(Flooding, ARestartedAgentTakesItsPlaceWhateverItsClockSays) {
  FloodingSimulation simulation(kLossy);
  MakeRing(simulation, 12);
  for (uint64_t incarnation : {50, 3}) {
    simulation.Kill(4);
    simulation.RunFor(milliseconds(500));
    simulation.Start(4, incarnation);
    for (size_t cable : {3, 4}) simulation.SetCable(cable, true);
    ASSERT_LT(simulation.RunUntilAgreed(seconds(60)), seconds(30)) << incarnation;
    simulation.RunFor(seconds(6));
    EXPECT_TRUE(simulation.Agreed());
    EXPECT_EQ(simulation.GraphAt(0).links.size(), 12u) << incarnation;
    EXPECT_FALSE(simulation.StateOf(4).contested());
  }
  EXPECT_GE(simulation.StateOf(0).Find(1004)->edition.incarnation, 51u);
}

TEST(Flooding, TwoNodesOfOneNameAreTwoNodesEverywhere) {
  FloodingSimulation simulation(kLossy);
  const size_t a = simulation.AddAgent(0x3f2a000000000001, "spark");
  const size_t b = simulation.AddAgent(0x91bc000000000001, "spark");
  const size_t c = simulation.AddAgent(5, "gx10");
  simulation.AddCable(a, c);
  simulation.AddCable(c, b);
  simulation.StartAll();
  simulation.RaiseAll();
  ASSERT_LT(simulation.RunUntilAgreed(seconds(60)), seconds(60));
  simulation.RunFor(seconds(10));
  for (size_t i : {a, b, c}) {
    const Fabric fabric = simulation.GraphAt(i);
    ASSERT_EQ(fabric.nodes.size(), 3u);
    EXPECT_EQ(fabric.nodes[1].name, "spark-3f2a");
    EXPECT_EQ(fabric.nodes[2].name, "spark-91bc");
  }
}

TEST(Flooding, ANodeThatVanishesLeavesTheGraphAtOnceAndTheTablesInTime) {
  FloodingSimulation simulation(kLossy);
  MakeRing(simulation, 10);
  simulation.Kill(7);
  simulation.RunFor(seconds(12));
  for (size_t i = 0; i < 10; ++i) {
    if (i == 7) continue;
    EXPECT_EQ(simulation.GraphAt(i).nodes.size(), 9u) << i;
    EXPECT_EQ(simulation.StateOf(i).size(), 10u) << i;
  }
  simulation.RunFor(seconds(330));
  for (size_t i = 0; i < 10; ++i) {
    if (i == 7) continue;
    EXPECT_EQ(simulation.StateOf(i).size(), 9u) << i << " keeps what nobody refreshes";
  }
  simulation.Start(7, 2);
  for (size_t cable : {6, 7}) simulation.SetCable(cable, true);
  EXPECT_LT(simulation.RunUntilAgreed(seconds(60)), seconds(30));
  EXPECT_EQ(simulation.GraphAt(0).nodes.size(), 10u);
  EXPECT_EQ(simulation.GraphAt(7).links.size(), 10u);
}

TEST(Flooding, WhoComesWhileARecordAgesDoesNotKeepItAlive) {
  FloodingSimulation simulation({3, 0, std::chrono::microseconds(100), milliseconds(2)});
  MakeRing(simulation, 4);
  simulation.Kill(2);
  for (uint64_t minute = 1; minute <= 6; ++minute) {
    simulation.RunFor(seconds(59));
    simulation.Kill(0);
    simulation.RunFor(seconds(1));
    simulation.Start(0, 1 + minute);
    for (size_t cable : {0, 3}) simulation.SetCable(cable, true);
  }
  simulation.RunFor(seconds(10));
  for (size_t i : {0, 1, 3}) EXPECT_EQ(simulation.StateOf(i).Find(1002), nullptr) << i;
}

TEST(Flooding, PartsThatMeetAgainAreOneFabric) {
  for (const Duration apart : {Duration(seconds(3)), Duration(seconds(1000))}) {
    FloodingSimulation simulation(kLossy);
    MakeRing(simulation, 12);
    for (size_t cable : {2, 8}) simulation.SetCable(cable, false);
    simulation.RunFor(milliseconds(200));
    for (size_t cable : {5, 11}) simulation.SetCable(cable, false);  // while apart each part changes
    simulation.RunFor(apart);
    EXPECT_LE(simulation.GraphAt(0).nodes.size(), 6u);
    for (size_t cable : {2, 5, 8, 11}) simulation.SetCable(cable, true);
    EXPECT_LT(simulation.RunUntilAgreed(seconds(60)), seconds(30));
    simulation.RunFor(seconds(6));
    EXPECT_TRUE(simulation.Agreed());
    EXPECT_EQ(simulation.GraphAt(3).links.size(), 12u);
  }
}

class FloodingClone : public ::testing::TestWithParam<uint32_t> {};

TEST_P(FloodingClone, TwoNodesOfOneIdMakeNoStormAndAreTold) {
  FloodingSimulation simulation({1, GetParam(), std::chrono::microseconds(100), milliseconds(10)});
  for (size_t i = 0; i < 12; ++i) simulation.AddAgent(i == 11 ? 1000 : 1000 + i);
  for (size_t i = 0; i < 11; ++i) simulation.AddCable(i, i + 1);
  simulation.StartAllJoined();
  if (GetParam() == 0) {
    simulation.RunFor(seconds(5));
    EXPECT_TRUE(simulation.StateOf(0).contested() || simulation.StateOf(11).contested());
  }
  simulation.RunFor(seconds(300));
  EXPECT_TRUE(simulation.StateOf(0).contested());
  EXPECT_TRUE(simulation.StateOf(11).contested());
  const uint64_t before = simulation.records_sent();
  simulation.RunFor(seconds(600));
  const double per_minute = static_cast<double>(simulation.records_sent() - before) / 10;
  std::printf("12 agents, two of them of one id, %u %% lost: %.0f records a minute\n", GetParam(), per_minute);
  // Twelve refreshes each 45 to 60 s over eleven cables, and as many again for what is lost and asked for again.
  EXPECT_LT(per_minute, 2 * 12 * 11 * 60 / 45);
  EXPECT_TRUE(simulation.StateOf(0).contested());
  simulation.Kill(11);
  simulation.RunFor(seconds(200));
  EXPECT_FALSE(simulation.StateOf(0).contested());
  simulation.RunUntilAgreed(seconds(60));
  EXPECT_TRUE(simulation.Agreed());
  EXPECT_EQ(simulation.GraphAt(5).nodes.size(), 11u);
}

INSTANTIATE_TEST_SUITE_P(Lost, FloodingClone, ::testing::Values(0, 10));

}  // namespace
}  // namespace relay::fabric
