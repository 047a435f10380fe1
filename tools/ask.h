// "nccl-relay status" and "nccl-relay fabric": questions to the agent of this node.
#pragma once
#include <string>

namespace relay::tools {

// Prints the agent's answer to standard output; never starts an agent. Returns the exit status.
int AskAgent(const std::string& question);

}  // namespace relay::tools
