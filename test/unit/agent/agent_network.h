// Whole agents in network namespaces of their own, which find each other over real cables, and clients of theirs: all
// in one thread, so that a test waits for what happens and not for a time.
#pragma once
#include <deque>

#include "agent/agent.h"
#include "unit/agent/agents.h"
#include "unit/agent/discovery/network.h"

namespace relay::agent {

class AgentNetwork;

// A process on a node's control socket.
class NetworkClient {
 public:
  NetworkClient(AgentNetwork& network, NetworkNode& node);

  void Send(uint64_t request, control::Message message) {
    EXPECT_TRUE(control::SendPacket(fd_.get(), control::Encode({request, std::move(message)})));
  }
  // What has come and nobody has taken, of this kind.
  template <class M>
  size_t Count() {
    Drain();
    return static_cast<size_t>(std::count_if(inbox_.begin(), inbox_.end(), [](const control::Received& r) {
      return std::holds_alternative<M>(r.packet.message);
    }));
  }
  // The next of this kind; a failure and an empty one when none comes within the limit.
  template <class M>
  M Next(Duration limit = std::chrono::seconds(5), Fd* fd = nullptr);

 private:
  void Drain() {
    while (true) {
      auto received = control::ReceivePacket(fd_.get());
      if (!received || !*received) return;
      inbox_.push_back(std::move(**received));
    }
  }

  AgentNetwork& network_;
  Fd fd_;
  std::deque<control::Received> inbox_;
};

class AgentNetwork : public OwnNetwork {
 public:
  // After its cables, so that they are its ports from the start.
  void StartAgent(NetworkNode& node, uint64_t incarnation = 1) {
    AgentOptions options;
    options.node.fabric.nodes.push_back({node.id, node.name, {}, false});
    options.discover.emplace();
    options.discover->identity = {node.id, incarnation, false};
    options.discover->name = node.name;
    options.discover->rdma = false;
    Start(node, std::move(options));
  }
  // Its interfaces are its ports' names.
  void StartDeclared(NetworkNode& node, const fabric::Fabric& fabric) {
    AgentOptions options;
    options.node.fabric = fabric;
    options.node.self = *fabric::FindNode(fabric, node.id);
    options.node.agreement = fabric::AgreementHash(fabric);
    for (const fabric::Port& port : options.node.node().ports) options.node.interfaces.push_back(port.name);
    Start(node, std::move(options));
  }
  void EndAgent(NetworkNode& node) {
    In(node);
    agents_.erase(node.id);
  }
  Agent& agent(const NetworkNode& node) { return *agents_.at(node.id); }
  uint64_t Counter(const NetworkNode& node, std::atomic<uint64_t> Counters::*field) {
    return (agent(node).counters().*field).load();
  }
  bool Knows(const NetworkNode& node, size_t links) { return agent(node).node().fabric.links.size() == links; }
  // Everyone's agent knows so many links.
  bool UntilAllKnow(size_t links, Duration limit = std::chrono::seconds(5)) {
    return Until(
        [&] {
          return std::all_of(agents_.begin(), agents_.end(),
                             [&](const auto& a) { return a.second->node().fabric.links.size() == links; });
        },
        limit);
  }

  // From a client to another one, which answers as a plugin does.
  struct Circuit {
    Fd source, destination;
    control::Connected connected;
    control::Arrived arrived;
  };
  Circuit Open(NetworkClient& from, NetworkClient& to, const control::Connect& connect) {
    Circuit out;
    to.Send(0, control::Register{connect.token});
    from.Send(77, connect);
    out.arrived = to.Next<control::Arrived>(std::chrono::seconds(5), &out.destination);
    if (!out.destination) return out;
    EXPECT_TRUE(WriteWhole(out.destination.get(), EncodeOpened({out.arrived.open.name, {}})));
    out.connected = from.Next<control::Connected>(std::chrono::seconds(5), &out.source);
    return out;
  }
  bool UntilEnd(const Fd& fd, Duration limit) {
    return Until(
        [&] {
          char byte;
          const ssize_t n = recv(fd.get(), &byte, 1, MSG_DONTWAIT);
          return n == 0 || (n < 0 && errno != EAGAIN);
        },
        limit);
  }
  // Bytes of one end that come out of the other.
  bool Carries(const Fd& from, const Fd& to) {
    if (send(from.get(), "x", 1, MSG_NOSIGNAL) != 1) return false;
    char byte = 0;
    return Until([&] { return recv(to.get(), &byte, 1, MSG_DONTWAIT) == 1; }) && byte == 'x';
  }

  static constexpr const char* kSocket = "@nccl-relay-agent-network";
  Duration hold_down = CircuitWatch::kHoldDown;

 private:
  void Start(NetworkNode& node, AgentOptions options) {
    In(node);
    options.node.port = kPort;
    options.node.connect_timeout = options.node.hop.hop_timeout = std::chrono::seconds(10);
    options.hold_down = hold_down;
    options.descriptors = 4096;
    std::optional<ControlSocket::Taken> taken;
    auto socket = ControlSocket::Bind({kSocket}, taken);
    ASSERT_TRUE(socket) << socket.error().what;
    auto agent = Agent::Start(node.loop, std::move(options), std::move(*socket));
    ASSERT_TRUE(agent) << agent.error().what;
    agents_[node.id] = std::move(*agent);
  }

  std::map<NodeId, std::unique_ptr<Agent>> agents_;  // go before the loops that they run on
};

inline NetworkClient::NetworkClient(AgentNetwork& network, NetworkNode& node) : network_(network) {
  network.In(node);
  auto fd = control::ConnectSocket(AgentNetwork::kSocket);
  EXPECT_TRUE(fd) << fd.error().what;
  fd_ = std::move(*fd);
  Send(1, control::Hello{});
  Next<control::Welcome>();
}

template <class M>
M NetworkClient::Next(Duration limit, Fd* fd) {
  EXPECT_TRUE(network_.Until([this] { return Count<M>() > 0; }, limit)) << "no packet of this kind came";
  const auto it = std::find_if(inbox_.begin(), inbox_.end(),
                               [](const control::Received& r) { return std::holds_alternative<M>(r.packet.message); });
  if (it == inbox_.end()) return {};
  M message = std::get<M>(std::move(it->packet.message));
  if (fd != nullptr) *fd = std::move(it->fd);
  inbox_.erase(it);
  return message;
}

}  // namespace relay::agent
