// One node's agent: owns everything that serves this node's processes and relays for its neighbours. One thread, the
// event loop's.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/clients/control_server.h"
#include "agent/ending.h"
#include "agent/flows/flows.h"
#include "agent/node/acceptor.h"
#include "agent/node/declared_ports.h"
#include "agent/node/link_history.h"
#include "agent/node/live_fabric.h"
#include "agent/relay/relay.h"
#include "agent/setup/agent_parts.h"
#include "agent/setup/circuit_table.h"
#include "agent/setup/circuit_watch.h"
#include "agent/setup/neighbours.h"

namespace relay::agent {

struct AgentOptions {
  // Declared: whole. Discovered: port, timeouts and hop options; the rest is found.
  LocalNode node;
  std::optional<LiveFabric::Options> discover;
  std::shared_ptr<const Key> key;
  Duration linger = std::chrono::seconds(30);
  bool auto_started = false;            // ends after lingering without a client or a circuit, and gives way
  size_t descriptors = 1024;            // it may have open at once
  size_t registered = size_t{1} << 30;  // bytes of payload slots that may be registered for relaying by RDMA
  bool gpu_slots = false;               // in a GPU's memory, where that can be
  const Cuda* cuda = nullptr;           // the driver; null: libcuda
  Duration hold_down = CircuitWatch::kHoldDown;
};

class Agent {
 public:
  // Listens from here on. The loop and the clock outlive it.
  static Result<std::unique_ptr<Agent>> Start(EventLoop& loop, AgentOptions options, ControlSocket socket);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  const LocalNode& node() const { return node_; }
  const Counters& counters() const { return counters_; }
  // Answers the question "status", in JSON.
  std::string Status() const;
  // New circuits are refused; when the last one that passes here has ended, or `longest` is over, the loop stops.
  void Drain(Duration longest);
  // SIGHUP. What a declared fabric consists of stays.
  struct Settings {
    std::string ifname, peers;
    std::shared_ptr<const Key> key;
    std::string text;  // LocalNode::settings with these
  };
  void Reconfigure(Settings settings);

 private:
  Agent(EventLoop& loop, AgentOptions options, ControlSocket socket);
  relay::Status StartDeclared();
  relay::Status StartDiscovered();
  control::Welcome MakeWelcome();
  control::RdmaReach RdmaReach();
  std::string FlowsJson(size_t most_bytes);
  std::string WhyNotFound(NodeId node) const;
  void Survey(ClientId client, uint64_t request);
  void OnFabric(const fabric::Fabric& before);
  void OnLinkUp(const SessionFacts& facts);
  void OnLinkDown(const SessionFacts& facts, const Loss& loss);
  void WatchDeclaredPorts();
  void OnPortDown(size_t port, const Loss& loss);
  void OnPortUp(size_t port);
  void OnPacket(ClientId client, control::Packet packet);
  void RefuseMore(ClientId client, uint64_t request, const std::string& what, size_t most);
  void OnQuery(ClientId client, uint64_t request, const std::string& question);
  void ProbeNeighbours(ClientId client, uint64_t request);
  void OnGone(ClientId client);
  RefusedMessage OnStranger(const std::string& who);
  RefusedMessage OnFull(pid_t pid);

  EventLoop& loop_;
  const AgentOptions options_;
  LocalNode node_;
  fabric::PathTable paths_;
  Counters counters_;
  Budget budget_;
  TokenRegistry tokens_;
  ControlServer clients_;
  Relay relay_;
  Flows flows_;
  LinkHistory history_;
  RateLimitedLog log_;
  AgentParts parts_;
  CircuitTable circuits_;
  CircuitWatch watch_;
  Acceptor acceptor_;
  std::unique_ptr<LiveFabric> live_;  // null: declared
  std::unique_ptr<DeclaredPorts> declared_ports_;
  NeighbourProbes probes_;
  Ending ending_;
};

}  // namespace relay::agent
