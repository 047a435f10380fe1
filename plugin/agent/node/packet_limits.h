// Links over which only small packets come, as discovery has found (PathMtu). One thread, the agent's.
#pragma once
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "relay/fabric.h"

namespace relay::agent {

// One of this node's links by names, which outlive a change of the fabric.
struct LinkKey {
  std::string near_port;
  NodeId far = 0;
  std::string far_port;
  auto operator<=>(const LinkKey&) const = default;
};

// Bytes of IP packets.
struct PacketLimit {
  uint32_t longest = 0;  // that the far port sends
  uint32_t passes = 0;   // that come here
  bool operator==(const PacketLimit&) const = default;
};

class PacketLimits {
 public:
  // True: it is another than before. nullopt: all that is sent comes.
  bool Set(const LinkKey& link, std::optional<PacketLimit> limit) {
    const std::optional<PacketLimit> before = Of(link);
    if (limit) limits_[link] = *limit;
    if (!limit) limits_.erase(link);
    return before != limit;
  }
  std::optional<PacketLimit> Of(const LinkKey& link) const {
    const auto known = limits_.find(link);
    return known == limits_.end() ? std::nullopt : std::optional(known->second);
  }
  // Callers at a port cannot be told apart before they have called: what the worst of its links passes; 0: all.
  uint32_t AtPort(const std::string& near_port) const {
    uint32_t least = 0;
    for (const auto& [link, limit] : limits_) {
      if (link.near_port == near_port && (least == 0 || limit.passes < least)) least = limit.passes;
    }
    return least;
  }

 private:
  std::map<LinkKey, PacketLimit> limits_;
};

// "of the packets of up to 9000 bytes that B/ba sends, none longer than 1500 comes to A/ab: ...", with the remedy.
inline std::string LimitText(const std::string& near, const std::string& far, const PacketLimit& limit) {
  const std::string passes = std::to_string(limit.passes), longest = std::to_string(limit.longest);
  return "of the packets of up to " + longest + " bytes (its MTU) that " + far + " may send, none longer than " +
         passes + " comes to " + near +
         ": what is between them, a switch or a tunnel, passes less than the ports' MTU. TCP keeps to " + passes +
         " bytes there, which costs speed, and RDMA may not get through. Let it pass " + longest +
         " bytes, or set the MTU of both ports to " + passes;
}

}  // namespace relay::agent
