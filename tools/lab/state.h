// Labs that live, as other invocations see them: one directory per lab under /run/nccl-relay-lab (or the user's runtime
// directory), with a lock that its owner holds until the end. A directory whose lock is free is a leftover.
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "lab/environment.h"
#include "relay/result.h"

namespace relay::lab {

struct StateNode {
  NodeFacts facts;
  int network = -1, mounts = -1, host = -1;  // descriptors of the supervisor
};

struct State {
  std::string name, topology;
  pid_t pid = 0;  // of the supervisor
  Control control = Control::kLan;
  std::string master_address;
  std::vector<std::string> env;  // as given on the command line
  std::vector<StateNode> nodes;
};

// A lab's place. The owner keeps `lock` open; a copy inherited by the supervisor counts too.
struct StateDirectory {
  std::string path;
  Fd lock;
};

// Removes leftovers of labs whose owners are gone, then claims a place. Fails when a lab of this name lives.
Result<StateDirectory> ClaimState(const std::string& name);
Status WriteState(const StateDirectory& directory, const State& state);
void RemoveState(const std::string& path);

// Labs that live and are ready.
std::vector<State> LiveLabs();
// The lab of this name; the only one when the name is empty.
Result<State> FindLab(const std::string& name);

}  // namespace relay::lab
