// Discovery as it is: interfaces become ports, ports get sockets, hellos go through the gate into the adjacencies.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/discovery/discovery.h"
#include "agent/discovery/hello_gate.h"
#include "agent/discovery/listed_peers.h"
#include "agent/discovery/routed_adjacencies.h"
#include "agent/discovery/unicast_sockets.h"
#include "agent/discovery/wire_adjacencies.h"
#include "agent/discovery/wire_ports.h"

namespace relay::agent {

class NodeDiscovery final : public Discovery {
 public:
  NodeDiscovery(EventLoop& loop, DiscoveryOptions options, Hooks hooks);
  ~NodeDiscovery() override;
  Status Begin();

  void Probe(NodeId node, const std::vector<SocketAddress>& addresses) override;
  void Reconfigure(const std::string& ifname, const std::string& peers) override;
  void Leave() override;
  std::vector<SocketAddress> Reachable() const override;
  const HelloCounts& counts() const override { return counts_; }
  std::string Describe() const override;

 private:
  void FollowInterfaces();
  RoutedAdjacencies::Hooks RoutedHooks();
  void TellPorts();
  std::vector<Interface> Chosen() const;
  Loss WhyGone(const std::string& port) const;
  void OnWireHello(const HelloArrival& arrival, std::span<const std::byte> bytes);
  void SendOnWire(const std::string& port, Hello hello);
  void SendPadded(const std::string& port, Hello hello, uint32_t packet);
  void OnUnicastHello(const HelloArrival& arrival, std::span<const std::byte> bytes);
  void SendUnicast(const SocketAddress& to, const SocketAddress& from, Hello hello);
  TimePoint TickAll(TimePoint now);
  void OnFound(const Adjacent& adjacent);
  void OnLost(const Adjacent& adjacent, const Loss& loss);
  // After everything that may have moved the adjacencies: tells what has happened and sets the timer.
  void Settle();

  EventLoop& loop_;
  DiscoveryOptions options_;
  const Hooks hooks_;
  HelloCounts counts_;
  HelloGate gate_;
  WireAdjacencies wires_;
  WirePorts wire_ports_;
  std::optional<RouteReader> routes_;
  RoutedAdjacencies routed_;
  UnicastSockets unicast_;
  ListedPeers listed_;
  std::unique_ptr<InterfaceWatch> watch_;
  Choice choice_;
  std::vector<fabric::Port> told_ports_;
  bool ports_told_ = false;
  uint64_t sequence_ = 0;
  // Adjacencies found and lost, told when no machine is at work: the hooks may call back.
  std::vector<std::function<void()>> events_;
  bool telling_ = false;
  bool left_ = false;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace relay::agent
