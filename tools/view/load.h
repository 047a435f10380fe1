// What flows over each link of a fabric and from whom to whom, of the rates that nodes gave. Pure.
#pragma once
#include <string>
#include <vector>

#include "relay/fabric.h"
#include "view/rates.h"

namespace relay::view {

struct LinkLoad {
  bool known = false;  // one of its ends answered
  bool down = false;   // an end that answered has no carrier
  double a_to_b_bits_s = 0, b_to_a_bits_s = 0;
  double retransmits_s = 0;
  uint64_t rtt_us = 0;
  size_t circuits = 0;
};

// All circuits of one path together.
struct PathLoad {
  std::string path, from, to;
  size_t circuits = 0;
  double forward_bits_s = 0, backward_bits_s = 0;
};

struct FabricLoad {
  std::vector<LinkLoad> links;      // as in the fabric
  std::vector<PathLoad> paths;      // fastest first
  std::vector<std::string> silent;  // nodes of the fabric that gave no rates
};

FabricLoad LoadOf(const fabric::Fabric& fabric, const std::vector<NodeRates>& nodes);

}  // namespace relay::view
