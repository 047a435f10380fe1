#include "agent/discovery/discovery.h"

#include "agent/discovery/node_discovery.h"

namespace relay::agent {

Result<std::unique_ptr<Discovery>> Discovery::Start(EventLoop& loop, DiscoveryOptions options, Hooks hooks, Counters&) {
  auto discovery = std::make_unique<NodeDiscovery>(loop, std::move(options), std::move(hooks));
  RELAY_TRY(discovery->Begin());
  return discovery;
}

}  // namespace relay::agent
