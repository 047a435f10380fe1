// One node's agent: owns everything that serves this node's processes and relays for its neighbours. One thread, the
// event loop's.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/acceptor.h"
#include "agent/circuit_desk.h"
#include "agent/control_server.h"
#include "agent/neighbours.h"
#include "agent/relay.h"
#include "agent/services.h"

namespace relay::agent {

struct AgentOptions {
  LocalNode node;
  Duration linger = std::chrono::seconds(30);
  bool auto_started = false;  // ends after lingering without a client or a circuit
  size_t descriptors = 1024;  // it may have open at once
};

class Agent {
 public:
  // Listens from here on. The loop and the clock outlive it.
  static Result<std::unique_ptr<Agent>> Start(EventLoop& loop, AgentOptions options, ControlSocket socket);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  const LocalNode& node() const { return options_.node; }
  const Counters& counters() const { return counters_; }
  // For "status": JSON.
  std::string Status() const;

 private:
  Agent(EventLoop& loop, AgentOptions options, ControlSocket socket);
  void OnPacket(ClientId client, control::Packet packet);
  void OnQuery(ClientId client, uint64_t request, const std::string& question);
  void ProbeNeighbours(ClientId client, uint64_t request);
  void OnGone(ClientId client);
  void WatchIdle();

  EventLoop& loop_;
  const AgentOptions options_;
  Counters counters_;
  Budget budget_;
  TokenRegistry tokens_;
  ControlServer clients_;
  Relay relay_;
  Services services_;
  CircuitDesk desk_;
  Acceptor acceptor_;
  std::map<uint64_t, std::unique_ptr<NeighbourProbe>> probes_;
  uint64_t next_probe_ = 1;
  TimePoint busy_until_;
  EventLoop::TimerId idle_timer_ = 0;
};

}  // namespace relay::agent
