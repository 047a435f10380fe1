// Finds this node's ports and the neighbours on them: interfaces from the kernel, hellos by multicast on each, hellos
// by unicast to peers beyond routers. Says what it finds; what a neighbour is worth is decided by a session.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/discovery/adjacency.h"
#include "agent/discovery/choice.h"
#include "agent/discovery/hello_counts.h"
#include "base/event_loop.h"
#include "relay/counters.h"

namespace relay::agent {

struct DiscoveryOptions {
  NodeId node = 0;
  uint64_t incarnation = 0;
  std::string name;    // of this host
  uint16_t port = 0;   // UDP for hellos, TCP for the agent: the same number
  std::string ifname;  // NCCL_RELAY_IFNAME
  std::string peers;   // NCCL_RELAY_PEERS
};

class Discovery {
 public:
  struct Hooks {
    // The ports that carry data now: chosen, up, with an address. A cable that was pulled takes its port away. `lost`
    // comes before the list without that port, `found` after the list with it.
    std::function<void(const std::vector<fabric::Port>&)> ports;
    // Both sides hear each other; the same again with another incarnation or address replaces it.
    std::function<void(const Adjacent&)> found;
    // Silent for too long, left, or the port is gone.
    std::function<void(const Adjacent&, const Loss&)> lost;
    std::function<fabric::Mac(std::span<const std::byte>)> seal;
    std::function<bool(std::span<const std::byte>, const fabric::Mac&)> verify;
    // True when this address is one of another node of the own fabric: a route through it is no link.
    std::function<bool(const SocketAddress&)> is_own_fabric;
  };

  // `hooks.ports` is called once before it returns. The loop and the counters outlive it; no hook destroys it.
  static Result<std::unique_ptr<Discovery>> Start(EventLoop& loop, DiscoveryOptions options, Hooks hooks,
                                                  Counters& counters);
  virtual ~Discovery() = default;

  // Addresses of a node's agent that a handle named (port included): asked by unicast for a while, if that node is not
  // adjacent on a wire.
  virtual void Probe(NodeId node, const std::vector<SocketAddress>& addresses) = 0;
  // SIGHUP: other interfaces, other peers.
  virtual void Reconfigure(const std::string& ifname, const std::string& peers) = 0;
  // Tells everyone at once that this agent ends.
  virtual void Leave() = 0;
  // Addresses of this node that a peer beyond routers may try: those of its ports.
  virtual std::vector<SocketAddress> Reachable() const = 0;
  virtual const HelloCounts& counts() const = 0;
  // What sentences and the status say: "ab: heard B/ba, 2 hellos/s"; refused interfaces with the reason.
  virtual std::string Describe() const = 0;
};

}  // namespace relay::agent
