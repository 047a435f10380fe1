// Nodes with network namespaces of their own, driven by one thread: cables are veth pairs, discovery runs over them.
#pragma once
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/discovery/discovery.h"
#include "base/log.h"
#include "fake/judged.h"

namespace relay::agent {

// Runs the body in a process of its own that may make namespaces, and hands its verdict on. Skips where none may be
// made; a change may not land without it.
inline void InOwnNetwork(const std::function<void()>& body) {
  constexpr int kMayNot = 77;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) _exit(kMayNot);
    if (system("ip link add name probe type veth 2>/dev/null && ip link del probe") != 0) _exit(kMayNot);
    body();
    fflush(stdout);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kMayNot) {
    ASSERT_FALSE(fake::Judged()) << "a change may not land untried: no network namespace can be made here";
    GTEST_SKIP() << "no network namespace with a veth pair can be made here";
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "in its own network, see above; status " << status;
}

struct NetworkNode {
  std::string name;
  NodeId id = 0;
  int space = -1;  // its namespace; stays open for the commands that name it
  SystemClock clock;
  EventLoop loop{clock};
  bool stopped = false;  // as by SIGSTOP: its loop has no turn
  std::unique_ptr<Discovery> discovery;
  std::vector<fabric::Port> ports;
  std::vector<Adjacent> adjacent;  // now
  std::vector<std::string> lost;   // why, in order
  std::vector<SocketAddress> own_fabric;
  std::byte key{0};  // of its proofs; 0: none

  const Adjacent* Find(const std::string& near_port, const std::string& far_name, bool routed = false) const {
    auto it = std::find_if(adjacent.begin(), adjacent.end(), [&](const Adjacent& a) {
      return a.near_port == near_port && a.far_name == far_name && a.routed == routed;
    });
    return it == adjacent.end() ? nullptr : &*it;
  }
};

class OwnNetwork {
 public:
  static constexpr uint16_t kPort = 21517;

  NetworkNode& Add(const std::string& name) {
    nodes_.push_back(std::make_unique<NetworkNode>());
    NetworkNode& node = *nodes_.back();
    node.name = name;
    node.id = nodes_.size();
    EXPECT_EQ(unshare(CLONE_NEWNET), 0);
    node.space = open("/proc/self/ns/net", O_RDONLY);
    // No waiting for duplicate addresses on cables with two ends.
    for (const char* scope : {"all", "default"}) Set("net/ipv6/conf/" + std::string(scope) + "/accept_dad", "0");
    Ip("link set lo up");
    return node;
  }
  void In(const NetworkNode& node) { ASSERT_EQ(setns(node.space, CLONE_NEWNET), 0); }
  // ip(8) in the namespace that this thread is in.
  void Ip(const std::string& command) { EXPECT_EQ(system(("ip " + command).c_str()), 0) << "ip " << command; }
  void Ip(const NetworkNode& node, const std::string& command) {
    In(node);
    Ip(command);
  }
  void Set(const std::string& setting, const std::string& value) {
    const int fd = open(("/proc/sys/" + setting).c_str(), O_WRONLY);
    EXPECT_EQ(write(fd, value.data(), value.size()), static_cast<ssize_t>(value.size())) << setting;
    close(fd);
  }
  // A cable between two interfaces, both up. Addresses may be empty: IPv6 link-local ones are there anyhow.
  void Cable(NetworkNode& a, const std::string& a_port, const std::string& a_address, NetworkNode& b,
             const std::string& b_port, const std::string& b_address) {
    const std::string there = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(b.space);
    Ip(a, "link add name " + a_port + " type veth peer name " + b_port + " netns " + there);
    if (!a_address.empty()) Ip(a, "addr add " + a_address + " dev " + a_port);
    Ip(a, "link set dev " + a_port + " up");
    if (!b_address.empty()) Ip(b, "addr add " + b_address + " dev " + b_port);
    Ip(b, "link set dev " + b_port + " up");
  }
  Discovery& Start(NetworkNode& node, uint64_t incarnation = 1, const std::string& ifname = "",
                   const std::string& peers = "") {
    In(node);
    DiscoveryOptions options{node.id, incarnation, node.name, kPort, ifname, peers};
    auto started = Discovery::Start(node.loop, options, HooksOf(node), counters_);
    EXPECT_TRUE(started) << started.error().what;
    node.discovery = std::move(*started);
    return *node.discovery;
  }
  void Stop(NetworkNode& node) {
    In(node);
    node.discovery.reset();
    node.adjacent.clear();
  }
  // Every node's loop in turn, until it is true. False after `limit`, to which a turn adds a few milliseconds at most:
  // the time that a busy machine gives to others is not the agents'.
  bool Until(const std::function<bool()>& condition, Duration limit = std::chrono::seconds(5)) {
    const Duration longest = std::chrono::milliseconds(3) * nodes_.size();
    while (!condition()) {
      if (limit <= Duration::zero()) return false;
      const TimePoint before = clock_.Now();
      Turn();
      limit -= std::min<Duration>(clock_.Now() - before, longest);
    }
    return true;
  }
  void For(Duration d) {
    const TimePoint end = clock_.Now() + d;
    while (clock_.Now() < end) Turn();
  }

 private:
  Discovery::Hooks HooksOf(NetworkNode& node) {
    auto forget = [&node](const Adjacent& gone) {
      std::erase_if(node.adjacent,
                    [&](const Adjacent& a) { return a.near_port == gone.near_port && a.far == gone.far; });
    };
    auto mac = [&node](std::span<const std::byte> bytes) {
      fabric::Mac out{};
      if (node.key == std::byte{0}) return out;
      out.fill(node.key);
      for (size_t i = 0; i < bytes.size(); ++i) out[i % 8] ^= bytes[i];
      return out;
    };
    return {[&node](const std::vector<fabric::Port>& ports) { node.ports = ports; },
            [&node, forget](const Adjacent& a) {
              forget(a);
              node.adjacent.push_back(a);
            },
            [&node, forget](const Adjacent& a, const Loss& loss) {
              forget(a);
              node.lost.push_back(loss.why);
            },
            mac,
            [mac](std::span<const std::byte> bytes, const fabric::Mac& given) { return mac(bytes) == given; },
            [&node](const SocketAddress& address) {
              return std::any_of(node.own_fabric.begin(), node.own_fabric.end(),
                                 [&](const SocketAddress& known) { return known.SameHost(address); });
            }};
  }

  void Turn() {
    for (auto& node : nodes_) {
      if (node->stopped) continue;
      In(*node);
      node->loop.RunOnce(std::chrono::milliseconds(1));
    }
  }

  const SystemClock clock_{};
  Counters counters_;
  std::vector<std::unique_ptr<NetworkNode>> nodes_;
};

}  // namespace relay::agent
