// What the parts of one agent share. Owned by Agent; outlives them all.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "agent/clients/token_registry.h"
#include "agent/common/budget.h"
#include "agent/flows/flows.h"
#include "agent/node/local_node.h"
#include "base/event_loop.h"
#include "fabric/path_table.h"
#include "relay/counters.h"

namespace relay::agent {

class ControlServer;
class LinkHistory;
class Relay;

struct AgentParts {
  EventLoop& loop;
  const LocalNode& node;
  fabric::PathTable& paths;
  Counters& counters;
  Budget& budget;
  TokenRegistry& tokens;
  ControlServer& clients;
  Relay& relay;
  Flows& flows;
  const LinkHistory& history;
  // Looks for a node that a discovered fabric does not reach; the addresses are those of its handle.
  std::function<void(NodeId, const std::vector<SocketAddress>&)> find;
  // Why it is not reached, and what to do: one sentence.
  std::function<std::string(NodeId)> why_not_found;
};

}  // namespace relay::agent
