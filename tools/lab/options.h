// What the command line of "nccl-relay lab" says. Filled by main.cc.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace relay::lab {

struct LabOptions {
  std::string topology;  // a shape or the path of a fabric file
  std::string rate;      // "1gbit"; empty: unshaped
  uint32_t mtu = 1500;
  std::string control = "lan";  // lan, routes or none
  std::string agents = "auto";  // auto, all, none or a list of nodes
  std::string log_dir;          // empty: one that lives as long as the lab
  std::vector<std::string> env;
  std::vector<std::string> node_fabrics;    // "B=other.json"
  std::vector<std::string> no_auto_agents;  // nodes
};

struct RunOptions {
  LabOptions lab;
  uint32_t ranks_per_node = 1;
  std::vector<std::string> ranks;  // nodes; empty: all
  double timeout = 600;
  double grace = 5;
  bool counters = false;
  std::string counters_json;
  std::vector<std::string> cuts, drops;         // "A-B@3s"
  std::vector<std::string> kills, agent_kills;  // "B@4s"
  std::vector<std::string> command;
};

}  // namespace relay::lab
