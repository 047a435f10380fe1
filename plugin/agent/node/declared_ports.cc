#include "agent/node/declared_ports.h"

#include <algorithm>

namespace relay::agent {

Result<std::unique_ptr<DeclaredPorts>> DeclaredPorts::Start(EventLoop& loop, const LocalNode& node, Hooks hooks) {
  std::unique_ptr<DeclaredPorts> ports(new DeclaredPorts(node, std::move(hooks)));
  auto watch = InterfaceWatch::Start(loop, [raw = ports.get()] { raw->Compare(); });
  RELAY_TRY(watch);
  ports->watch_ = std::move(*watch);
  ports->Compare();
  return ports;
}

void DeclaredPorts::Compare() {
  const auto& interfaces = watch_->interfaces();
  for (size_t port = 0; port < node_.interfaces.size(); ++port) {
    const std::string& name = node_.InterfaceOf(port);
    const auto found = std::find_if(interfaces.begin(), interfaces.end(),
                                    [&](const Interface& interface) { return interface.name == name; });
    const bool up = found != interfaces.end() && found->up;
    if (up && down_.erase(port) != 0) hooks_.up(port);
    if (up || !down_.insert(port).second) continue;
    hooks_.down(
        port, {Loss::Cause::kPort, name + (found == interfaces.end() ? " is gone" : " is down or has no carrier"), {}});
  }
}

}  // namespace relay::agent
