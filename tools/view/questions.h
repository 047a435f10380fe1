// The questions of these tools to the agent of this node, over its control socket, and its answers as values.
#pragma once
#include <string>
#include <vector>

#include "ask/ask.h"
#include "relay/fabric.h"
#include "view/rates.h"

namespace relay::view {

Result<fabric::Fabric> AskFabric(tools::AgentLine& line);
Result<NodeReading> AskFlows(tools::AgentLine& line);
// This node's ports that could be rdma but are not: "ab: mlx5_0 port 1 is behind it, but ...".
Result<std::vector<std::string>> AskTcpPorts(tools::AgentLine& line);
// Asks every node whose agent can be asked; this one alone where agents cannot ask each other.
Result<std::vector<NodeReading>> AskSurvey(tools::AgentLine& line);

}  // namespace relay::view
