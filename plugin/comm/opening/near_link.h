// Which cable an operator looks at when the hop at this end of a circuit breaks.
#pragma once
#include <string>
#include <vector>

#include "relay/setup.h"

namespace relay::comm {

enum class RouteEnd : uint8_t { kSource, kDestination };

// "A ab--ba": node `here`, its port, the port at the other end. A route has no names of nodes. Without a link: `here`.
inline std::string NearLink(const std::string& here, const std::vector<RouteHop>& route, RouteEnd end) {
  if (route.empty()) return here;
  if (end == RouteEnd::kSource) return here + " " + route.front().from_port + "--" + route.front().to_port;
  return here + " " + route.back().to_port + "--" + route.back().from_port;
}

}  // namespace relay::comm
