// Several real agents in this process, on addresses of the loopback interface, with one event loop in a thread of its
// own; and the clients and waiting that tests of them need.
#pragma once
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/agent.h"
#include "base/random.h"
#include "control/client.h"
#include "fake/held_clock.h"

namespace relay::agent {

constexpr auto kPatience = std::chrono::seconds(20);

// As the agent's program does: splice has no MSG_NOSIGNAL.
inline const bool kSigpipeIgnored = signal(SIGPIPE, SIG_IGN) != SIG_ERR;

inline bool Eventually(const std::function<bool()>& condition) {
  auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < deadline) {
    if (condition()) return true;
    poll(nullptr, 0, 1);
  }
  return condition();
}

inline bool WaitFor(int fd, short events) {
  pollfd p{fd, events, 0};
  return poll(&p, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) == 1;
}

// 127.x.y.z, with x and y drawn anew for every test so that tests may run at the same time.
class Addresses {
 public:
  SocketAddress Next() { return *SocketAddress::Parse(prefix_ + std::to_string(++last_)); }

 private:
  std::string prefix_ =
      "127." + std::to_string(1 + RandomValue<uint8_t>() % 250) + "." + std::to_string(RandomValue<uint8_t>()) + ".";
  int last_ = 0;
};

// A chain of nodes A-B-C-..., every port an address of "lo".
inline fabric::Fabric ChainOnLo(size_t nodes) {
  Addresses addresses;
  fabric::Fabric out;
  out.name = "chain";
  for (size_t i = 0; i < nodes; ++i) {
    fabric::Node node;
    node.name = std::string(1, static_cast<char>('A' + i));
    node.id = 100 + i;
    for (size_t port = 0; port < (i == 0 || i + 1 == nodes ? 1u : 2u); ++port) {
      node.ports.push_back({port == 0 ? "lo" : "lo:1", {addresses.Next()}, 1000, fabric::PortKind::kTcp});
    }
    out.nodes.push_back(node);
    if (i > 0) out.links.push_back({{i - 1, i == 1 ? 0u : 1u}, {i, 0}, 1000, 0, fabric::PortKind::kTcp});
  }
  return out;
}

// A square A-B-C-D-A: two ways from A to C.
inline fabric::Fabric SquareOnLo() {
  fabric::Fabric out = ChainOnLo(4);
  out.nodes[0].ports.push_back({"lo:1", {Addresses().Next()}, 1000, fabric::PortKind::kTcp});
  out.nodes[3].ports.push_back({"lo:1", {Addresses().Next()}, 1000, fabric::PortKind::kTcp});
  out.links.push_back({{0, 1}, {3, 1}, 1000, 0, fabric::PortKind::kTcp});
  return out;
}

inline uint16_t FreePort() {
  auto listener = transport::tcp::Listener::Open("lo", *SocketAddress::Parse("127.0.0.1"), {});
  return listener->address().port();
}

class AgentsTest : public testing::Test {
 protected:
  AgentsTest()
      : loop_(clock_), port_(FreePort()), name_("@nccl-relay-test-" + std::to_string(RandomValue<uint64_t>())) {
    thread_ = std::thread([this] {
      while (!stop_) {
        loop_.RunOnce(std::chrono::milliseconds(2));
        std::vector<std::function<void()>> tasks;
        {
          std::lock_guard lock(mutex_);
          tasks.swap(tasks_);
        }
        for (auto& task : tasks) task();
      }
      agents_.clear();
    });
  }
  ~AgentsTest() override {
    stop_ = true;
    thread_.join();
  }

  // In the loop's thread; waits for it.
  void InLoop(std::function<void()> task) {
    std::promise<void> done;
    {
      std::lock_guard lock(mutex_);
      tasks_.push_back([&] {
        task();
        done.set_value();
      });
    }
    done.get_future().wait();
  }

  std::string SocketOf(const std::string& node) const { return name_ + node; }

  AgentOptions OptionsFor(const fabric::Fabric& fabric, size_t self) const {
    AgentOptions options;
    options.node.fabric = fabric;
    options.node.self = self;
    options.node.agreement = fabric::AgreementHash(fabric);
    options.node.port = port_;
    options.node.connect_timeout = std::chrono::seconds(15);
    options.descriptors = DescriptorLimit();
    options.node.interfaces.assign(fabric.nodes[self].ports.size(), "lo");
    return options;
  }

  void Start(AgentOptions options) {
    const std::string name = options.node.name();
    InLoop([&] {
      std::optional<ControlSocket::Taken> taken;
      auto socket = ControlSocket::Bind({SocketOf(name)}, taken);
      ASSERT_TRUE(socket) << socket.error().what;
      auto agent = Agent::Start(loop_, std::move(options), std::move(*socket));
      ASSERT_TRUE(agent) << agent.error().what;
      agents_[name] = std::move(*agent);
    });
  }
  void Start(const fabric::Fabric& fabric) {
    for (size_t i = 0; i < fabric.nodes.size(); ++i) Start(OptionsFor(fabric, i));
  }
  void Kill(const std::string& node) {
    InLoop([&] { agents_.erase(node); });
  }
  uint64_t Counter(const std::string& node, std::atomic<uint64_t> Counters::*field) {
    return (agents_.at(node)->counters().*field).load();
  }

  std::unique_ptr<control::Client> ClientOf(const std::string& node) {
    control::ClientOptions options;
    options.socket = SocketOf(node);
    options.start_agent = false;
    auto client = control::Client::Connect(options, clock_);
    EXPECT_TRUE(client) << client.error().what;
    return client ? std::move(*client) : nullptr;
  }

  static control::Received Next(control::Client& client) {
    while (true) {
      auto received = client.Receive();
      EXPECT_TRUE(received) << received.error().what;
      if (!received) return {};
      if (*received) return std::move(**received);
      bool came = WaitFor(client.fd(), POLLIN);
      EXPECT_TRUE(came) << "no packet came";
      if (!came) return {};
    }
  }
  std::string Ask(const std::string& node, const std::string& question) {
    auto client = ClientOf(node);
    auto answer = control::Ask(*client, question, kPatience, clock_);
    EXPECT_TRUE(answer) << answer.error().what;
    return answer ? *answer : "";
  }
  bool HalfOpenBecomes(const std::string& node, int n) {
    return Eventually(
        [&] { return Ask(node, "status").find("\"half_open\":" + std::to_string(n) + ",") != std::string::npos; });
  }

  static control::Connect To(const fabric::Fabric& fabric, size_t node, const Token& token) {
    return {fabric.nodes[node].id, token, {RandomValue<uint64_t>(), 1}, fabric::AgreementHash(fabric)};
  }
  static RefusedMessage RefusedBy(control::Client& client) {
    auto received = Next(client);
    auto* failed = std::get_if<control::Failed>(&received.packet.message);
    EXPECT_NE(failed, nullptr) << "another packet than Failed: " << received.packet.message.index();
    return failed ? failed->refused : RefusedMessage{};
  }

  struct Circuit {
    Fd source, destination;
    control::Connected connected;
    control::Arrived arrived;
  };
  // Opens one from a client to another, the receiving one answering as a plugin does.
  Circuit Open(control::Client& from, control::Client& to, const control::Connect& connect) {
    Circuit out;
    EXPECT_TRUE(to.Send({0, control::Register{connect.token}}));
    EXPECT_TRUE(from.Send({77, connect}));
    auto arrived = Next(to);
    EXPECT_TRUE(std::holds_alternative<control::Arrived>(arrived.packet.message));
    if (!arrived.fd) return out;
    out.arrived = std::get<control::Arrived>(arrived.packet.message);
    out.destination = std::move(arrived.fd);
    EXPECT_TRUE(WriteWhole(out.destination.get(), EncodeOpened({out.arrived.open.name, {}})));
    auto connected = Next(from);
    EXPECT_EQ(connected.packet.request, 77u);
    EXPECT_TRUE(std::holds_alternative<control::Connected>(connected.packet.message));
    if (!connected.fd) return out;
    out.connected = std::get<control::Connected>(connected.packet.message);
    out.source = std::move(connected.fd);
    return out;
  }

  fake::HeldClock clock_;
  EventLoop loop_;
  const uint16_t port_;
  const std::string name_;
  std::map<std::string, std::unique_ptr<Agent>> agents_;
  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

inline std::string ReadText(int fd, size_t n) {
  std::string out;
  while (out.size() < n && WaitFor(fd, POLLIN)) {
    char room[4096];
    ssize_t got = recv(fd, room, std::min(sizeof room, n - out.size()), MSG_DONTWAIT);
    if (got <= 0) break;
    out.append(room, static_cast<size_t>(got));
  }
  return out;
}

inline bool AtEnd(int fd) {
  char byte;
  return WaitFor(fd, POLLIN) && recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

}  // namespace relay::agent
