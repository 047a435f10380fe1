// What the command line of "nccl-relay lab" says. Filled by main.cc.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "lab/fault_kind.h"

namespace relay::lab {

struct FabricOptions {
  std::string topology;            // a shape or the path of a fabric file
  std::vector<std::string> rates;  // "1gbit", "A-B=100mbit"; empty: unshaped
  std::string addresses;           // an AddressStyle; empty: per-cable
};

struct LabOptions {
  FabricOptions fabric;
  uint32_t mtu = 1500;
  bool discover = false;        // no fabric file: the agents find each other
  std::string control;          // lan, gateway, routes or none; empty: lan, with discover gateway
  std::string agents = "auto";  // auto, all, none or a list of nodes
  std::string log_dir;          // empty: one that lives as long as the lab
  std::vector<std::string> env;
  std::vector<std::string> node_fabrics;    // "B=other.json"
  std::vector<std::string> no_auto_agents;  // nodes
  std::vector<std::string> sysctls;         // "net.ipv4.conf.all.rp_filter=1"
};

struct FaultText {
  FaultKind kind = FaultKind::kCut;
  std::string value;  // "A-B@3s"
};

struct RunOptions {
  LabOptions lab;
  uint32_t ranks_per_node = 1;
  std::vector<std::string> ranks;  // nodes; empty: all
  double timeout = 600;
  double grace = 5;
  bool counters = false;
  std::string counters_json;
  std::vector<FaultText> faults;
  std::vector<std::string> command;
};

}  // namespace relay::lab
