// The namespaces of one node: network, mounts (its own /sys) and host name. They live as long as someone holds or
// uses them; nothing is pinned to a path.
#pragma once
#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "relay/result.h"

namespace relay::lab {

struct NodeSpace {
  Fd network, mounts, host;
  ino_t network_inode = 0;
};

// Made by a short-lived child of this process. `sysctls`: "net.ipv4.ip_forward=1".
Result<NodeSpace> MakeNodeSpace(const std::string& name, const std::vector<std::string>& sysctls);

// In a child, after fork. Keeps the working directory.
Status Enter(const NodeSpace& space, const std::string& working_directory);

// Runs something in the node's network, in this process, and comes back. One thread only.
Status InNetwork(const NodeSpace& space, const std::function<void()>& what);

}  // namespace relay::lab
