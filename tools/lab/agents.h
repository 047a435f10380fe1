// Relay agents that the lab itself starts in nodes.
#pragma once
#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "lab/environment.h"
#include "lab/node_space.h"
#include "relay/result.h"

namespace relay::lab {

// Which nodes: "auto" those without a rank, because elsewhere the plugin starts one; "all"; "none"; or "A,B".
Result<std::vector<size_t>> AgentNodes(const Plan& plan, std::string_view mode, const std::vector<size_t>& rank_nodes);

// "A,B" as indices. Repeated names count once.
Result<std::vector<size_t>> NodeList(const Plan& plan, std::string_view names);

struct AgentStart {
  std::string node;
  const NodeSpace* space = nullptr;
  std::string program;  // nccl-relay
  std::string log;
  std::vector<std::string> environment;
};

Result<pid_t> StartAgent(const AgentStart& start);

// Until its control socket exists, at most ten seconds; an agent that ends instead is an error with what it said.
Status AwaitAgent(const AgentStart& start, pid_t pid);

// The end of a log, each line with the prefix.
std::string TailOfLog(const std::string& path, const std::string& prefix);

}  // namespace relay::lab
