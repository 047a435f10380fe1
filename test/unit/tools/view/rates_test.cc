#include "view/rates.h"

#include <gtest/gtest.h>

#include "unit/tools/view/readings.h"

namespace relay::view::rates_test {
namespace {

using namespace readings;

TEST(Rates, AreTheDifferenceOverTheAgentsTime) {
  const Relay relay;
  const NodeRates rates = RatesBetween(&relay.before, relay.now);
  EXPECT_DOUBLE_EQ(rates.ports[0].in_bits_s, 8e6);
  EXPECT_DOUBLE_EQ(rates.ports[0].out_bits_s, 8e3);
  EXPECT_DOUBLE_EQ(rates.ports[1].retransmits_s, 2);
  EXPECT_EQ(rates.ports[1].rtt_us, 100u);
  EXPECT_DOUBLE_EQ(rates.circuits[0].forward_bits_s, 8e6 / 1.5);
  EXPECT_DOUBLE_EQ(rates.circuits[0].backward_bits_s, 8e3 / 1.5);
  EXPECT_EQ(rates.circuits[0].forward_bytes, 1000000u);
}

TEST(Rates, NothingIsToldOfWhatIsNewRestartedOrOfAnotherTime) {
  const Relay relay;
  for (const NodeRates& rates : {RatesBetween(nullptr, relay.now), RatesBetween(&relay.now, relay.now),
                                 RatesBetween(&relay.now, relay.before)}) {
    EXPECT_EQ(rates.ports[0].in_bits_s, 0);
    EXPECT_EQ(rates.circuits[0].forward_bits_s, 0);
  }
  Relay fresh;
  fresh.before.circuits.clear();
  EXPECT_EQ(RatesBetween(&fresh.before, fresh.now).circuits[0].forward_bits_s, 0);
  EXPECT_EQ(RatesBetween(&fresh.before, fresh.now).circuits[0].forward_bytes, 1000000u);
  // The same name with a smaller count is another life of the interface.
  Relay again;
  again.now.ports[0].received_bytes = 3;
  EXPECT_EQ(RatesBetween(&again.before, again.now).ports[0].in_bits_s, 0);
}

TEST(Rates, EachRoleKnowsWhichWayIsForward) {
  for (Role role : {Role::kSource, Role::kDestination}) {
    NodeReading before, now;
    now.monotonic_ns = 1'000'000'000;
    before.circuits = {Circuit(role, {Hop("B", "x", 0, 0)})};
    now.circuits = {Circuit(role, {Hop("B", "x", 1000, 9000)})};
    before.name = now.name = "A";
    before.monotonic_ns = 1;
    const CircuitRate circuit = RatesBetween(&before, now).circuits[0];
    EXPECT_EQ(circuit.forward_bytes, role == Role::kSource ? 9000u : 1000u);
    EXPECT_EQ(circuit.backward_bytes, role == Role::kSource ? 1000u : 9000u);
  }
}

}  // namespace
}  // namespace relay::view::rates_test
