#include "agent/discovery/replay_guard.h"

#include <algorithm>

namespace relay::agent {

bool ReplayGuard::MakeRoom(TimePoint now) {
  if (nodes_.size() < kMostNodes) return true;
  auto oldest = std::min_element(nodes_.begin(), nodes_.end(),
                                 [](const auto& a, const auto& b) { return a.second.heard < b.second.heard; });
  if (now - oldest->second.heard < kMemory) return false;
  nodes_.erase(oldest);
  return true;
}

bool ReplayGuard::Accept(const Hello& hello, const std::string& way, TimePoint now) {
  auto node = nodes_.find(hello.node);
  if (node == nodes_.end()) {
    if (!MakeRoom(now)) return false;
    node = nodes_.emplace(hello.node, Far{hello.incarnation, now, {}}).first;
  }
  Far& far = node->second;
  if (now - far.heard > kMemory) far = Far{hello.incarnation, now, {}};
  if (hello.incarnation < far.incarnation) return false;
  if (hello.incarnation > far.incarnation) far = Far{hello.incarnation, now, {}};

  if (!far.ports.contains(hello.port) && far.ports.size() >= kMostPorts) return false;
  FarPort& port = far.ports[hello.port];
  auto lags = [&](uint64_t sequence) { return sequence < port.newest && port.newest - sequence > kMostLag; };
  if (lags(hello.sequence)) return false;
  auto last = port.ways.find(way);
  if (last != port.ways.end() && hello.sequence <= last->second) return false;
  if (last == port.ways.end()) {
    // Ways that have fallen behind are closed anyhow: the lag keeps them shut.
    std::erase_if(port.ways, [&](const auto& known) { return lags(known.second); });
    if (port.ways.size() >= kMostWays) return false;
  }
  port.ways[way] = hello.sequence;
  port.newest = std::max(port.newest, hello.sequence);
  far.heard = now;
  return true;
}

}  // namespace relay::agent
