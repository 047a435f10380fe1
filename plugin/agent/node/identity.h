// Who this node is in a discovered fabric: an id that outlives its agent, and an incarnation that grows with every
// start. Kept in the runtime directory, one file per network namespace, because that is what a node is.
#pragma once
#include <string>

#include "relay/result.h"
#include "relay/setup.h"

namespace relay::agent {

struct Identity {
  NodeId node = 0;
  uint64_t incarnation = 0;
  bool kept = false;  // false: no directory takes the file, and the next start is another node to its neighbours
};

// The first of these that can be written: /run/nccl-relay where the operator made it, $XDG_RUNTIME_DIR/nccl-relay,
// /tmp/nccl-relay-UID (this user's alone).
std::string RuntimeDirectory();

// Reads the file, draws what is missing, writes the next incarnation. `directory` may be empty: nothing is kept.
// `now_ns` (wall clock) makes incarnations of a node whose file was lost newer than those before.
Identity TakeIdentity(const std::string& directory, uint64_t now_ns);

}  // namespace relay::agent
