#include "view/load.h"

#include <gtest/gtest.h>

#include "unit/tools/view/readings.h"

namespace relay::view::load_test {
namespace {

using namespace readings;

TEST(Load, OneNodeTellsOfAllItsLinksAndOfThePathsThatCrossIt) {
  const Relay relay;
  const FabricLoad load = LoadOf(Chain(), {RatesBetween(&relay.before, relay.now)});
  EXPECT_TRUE(load.links[0].known && load.links[1].known);
  EXPECT_DOUBLE_EQ(load.links[0].a_to_b_bits_s, 8e6);  // A to B
  EXPECT_DOUBLE_EQ(load.links[1].b_to_a_bits_s, 8e6);  // B to C
  EXPECT_DOUBLE_EQ(load.links[1].a_to_b_bits_s, 8e3);
  EXPECT_EQ(load.links[0].circuits, 1u);
  EXPECT_EQ(load.silent, (std::vector<std::string>{"A", "C"}));
  ASSERT_EQ(load.paths.size(), 1u);
  EXPECT_DOUBLE_EQ(load.paths[0].forward_bits_s, 8e6 / 1.5);
}

TEST(Load, ACircuitThatSeveralNodesTellOfCountsOnce) {
  const Relay relay;
  NodeReading a = relay.now, a0 = relay.before;
  a.name = a0.name = "A";
  a.node = a0.node = "0a";
  a0.circuits = {Circuit(Role::kSource, {Hop("B", "ab", 0, 0)})};
  a.circuits = {Circuit(Role::kSource, {Hop("B", "ab", 1000, 1000000)})};
  a0.ports = {Port("ab", 0, 0)};
  a.ports = {Port("ab", 0, 3000000)};
  const FabricLoad load = LoadOf(Chain(), RatesBetween({relay.before, a0}, {relay.now, a}));
  EXPECT_EQ(load.links[0].circuits, 1u);
  EXPECT_EQ(load.paths[0].circuits, 1u);
  EXPECT_DOUBLE_EQ(load.links[0].a_to_b_bits_s, 16e6) << "the sender's word";
  EXPECT_EQ(load.silent, (std::vector<std::string>{"C"}));
}

TEST(Load, APortWithSeveralLinksIsToldApartByItsCircuits) {
  fabric::Fabric fabric = Chain();
  fabric.links[1].b = {1, 0};  // both cables of B end in a switch at ba
  Relay relay;
  for (NodeReading* reading : {&relay.before, &relay.now}) {
    for (HopReading& hop : reading->circuits[0].hops) hop.port = "ba";
  }
  const FabricLoad load = LoadOf(fabric, {RatesBetween(&relay.before, relay.now)});
  EXPECT_DOUBLE_EQ(load.links[0].a_to_b_bits_s, 8e6 / 1.5);
  EXPECT_DOUBLE_EQ(load.links[1].b_to_a_bits_s, 8e6 / 1.5);
}

TEST(Load, ALinkWithoutCarrierAtOneEndIsDown) {
  Relay relay;
  relay.now.ports[1].up = false;
  const FabricLoad load = LoadOf(Chain(), {RatesBetween(&relay.before, relay.now)});
  EXPECT_FALSE(load.links[0].down);
  EXPECT_TRUE(load.links[1].down);
}

}  // namespace
}  // namespace relay::view::load_test
