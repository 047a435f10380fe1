// What flowed between two readings of the same nodes. Pure.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "view/reading.h"

namespace relay::view {

struct PortRate {
  PortReading now;
  double in_bits_s = 0, out_bits_s = 0;
  double retransmits_s = 0;  // of the circuits on this port
  uint64_t rtt_us = 0;       // the largest of their hops on this port; 0: none
};

struct HopRate {
  HopReading now;
  double in_bits_s = 0, out_bits_s = 0, retransmits_s = 0;
};

struct CircuitRate {
  CircuitReading now;
  std::vector<HopRate> hops;
  // From the circuit's source to its destination, and back.
  double forward_bits_s = 0, backward_bits_s = 0;
  uint64_t forward_bytes = 0, backward_bytes = 0;
};

struct NodeRates {
  std::string name;
  uint64_t circuits_total = 0;
  std::vector<PortRate> ports;        // as the agent lists them
  std::vector<CircuitRate> circuits;  // fastest first, then most bytes, then by name
};

// Whatever was not in the earlier reading, or counts less now, has no rate yet. `before` may be null.
NodeRates RatesBetween(const NodeReading* before, const NodeReading& now);
std::vector<NodeRates> RatesBetween(const std::vector<NodeReading>& before, const std::vector<NodeReading>& now);

}  // namespace relay::view
