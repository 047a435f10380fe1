// What the parts of one agent share. Owned by Agent; outlives them all.
#pragma once
#include "agent/budget.h"
#include "agent/local_node.h"
#include "agent/token_registry.h"
#include "base/event_loop.h"
#include "relay/counters.h"

namespace relay::agent {

class ControlServer;
class Relay;

struct Services {
  EventLoop& loop;
  const LocalNode& node;
  Counters& counters;
  Budget& budget;
  TokenRegistry& tokens;
  ControlServer& clients;
  Relay& relay;
};

}  // namespace relay::agent
