// How urgently the kernel runs the agent, where, and for how long.
#pragma once
#include <string>

namespace relay::agent {

// Other nodes' collectives wait for what is relayed here, while the ranks of this node poll without ever sleeping: on
// busy cores a normal process can wait seconds for its turn. With CAP_SYS_NICE the agent takes the lowest real-time
// priority (the kernel's own throttling bounds it), without it nothing changes. True: it took it.
bool RunUrgently();

// An agent that a plugin started serves every job of its node: the first rank's one core, its niceness and its limits
// of CPU time and file size are that rank's own. What may not be shed is returned as a sentence; empty: nothing is
// left.
std::string ShedTheStartersBounds();

}  // namespace relay::agent
