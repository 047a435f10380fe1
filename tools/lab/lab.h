// One lab from its options to its end: what is decided outside the box (Prepare), what is built inside (Open).
#pragma once
#include <string>
#include <vector>

#include "lab/agents.h"
#include "lab/environment.h"
#include "lab/network.h"
#include "lab/options.h"
#include "lab/plan.h"
#include "lab/state.h"

namespace relay::lab {

struct Lab {
  LabOptions options;
  std::string name;
  Plan plan;
  StateDirectory state;
  std::string log_dir;
  std::string program;  // this one
  std::string working_directory;
  std::vector<NodeFacts> facts;  // as the plan's nodes
  std::vector<size_t> rank_nodes;
  std::vector<size_t> agent_nodes;
};

// Shape, at these rates and with these addresses, or file, as it is.
Result<fabric::Fabric> LoadFabric(const FabricOptions& options);

struct PrepareOptions {
  std::string name;
  std::vector<std::string> rank_nodes;  // empty: all
};
// Claims the lab's place and writes the files that its processes read. Removes what dead labs left.
Result<Lab> Prepare(const LabOptions& options, const PrepareOptions& prepare);

struct OpenLab {
  Network network;
  std::vector<std::pair<pid_t, size_t>> agents;  // process, node
};
// Builds the network, starts the agents and makes the lab known. Inside the box.
Result<OpenLab> Open(const Lab& lab, pid_t outer_pid);

// How the lab starts one there. Refers to the network.
AgentStart AgentOf(const Lab& lab, const Network& network, size_t node);

// Says what went wrong; returns kLabFailed.
int Complain(const Error& error);

// What a command in the node gets, without RANK and the like.
Environment NodeEnvironment(const Lab& lab, size_t node);

}  // namespace relay::lab
