// How urgently the kernel runs the agent.
#pragma once

namespace relay::agent {

// Other nodes' collectives wait for what is relayed here, while the ranks of this node poll without ever sleeping: on
// busy cores a normal process can wait seconds for its turn. With CAP_SYS_NICE the agent takes the lowest real-time
// priority (the kernel's own throttling bounds it), without it nothing changes. True: it took it.
bool RunUrgently();

}  // namespace relay::agent
