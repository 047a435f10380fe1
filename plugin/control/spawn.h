// Starts an agent as a process of its own, like ssh-agent: it outlives whoever starts it and shares nothing with it.
#pragma once
#include <string>

#include "base/clock.h"
#include "relay/result.h"

namespace relay::control {

struct SpawnOptions {
  std::string program;  // empty: nccl-relay beside this library, else this library through the program interpreter
  std::string log;      // file for its standard error; empty: none
  TimePoint deadline;
};

// Returns when an agent serves this node: the started one or one that was faster. Otherwise the sentence in which the
// started one says why it cannot. Leaves no child behind.
Status SpawnAgent(const SpawnOptions& options, const Clock& clock);

}  // namespace relay::control
