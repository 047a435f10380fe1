// Whether an agent started from here dies with the job, because of where the job runs.
#pragma once

namespace relay::comm {

// True in a container (its first process takes all others along) and in a Slurm step.
bool AgentEndsWithJob();

}  // namespace relay::comm
