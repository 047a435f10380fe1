// What every part of the session table works with.
#pragma once
#include "agent/common/rate_limited_log.h"
#include "agent/session/session_table.h"
#include "base/event_loop.h"
#include "relay/counters.h"

namespace relay::agent {

struct SessionParts {
  EventLoop& loop;
  SessionTable::Self self;
  Counters& counters;
  RateLimitedLog log;
};

}  // namespace relay::agent
