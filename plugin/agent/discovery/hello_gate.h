// What a datagram must be before it counts as a hello of another node: from this wire, whole, proven, new. Pure.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/discovery/hello.h"
#include "agent/discovery/hello_counts.h"
#include "agent/discovery/replay_guard.h"

namespace relay::agent {

// Where a datagram came in.
struct HelloArrival {
  std::string port;  // interface; empty for one by unicast
  SocketAddress from;
  SocketAddress to;  // this node's address on that interface, of the same family
  int ttl = -1;      // or hop limit; -1: the kernel did not say
  std::string via;   // the interface that it came in by
};

class HelloGate {
 public:
  struct Hooks {
    SealHook seal;
    std::function<bool(std::span<const std::byte>, const fabric::Mac&)> verify;
    std::function<void(const std::string&)> warn;  // one line of the log
  };
  HelloGate(NodeId self, uint64_t incarnation, Hooks hooks, HelloCounts& counts);

  // nullopt: refused, counted and, not too often, said aloud.
  std::optional<Hello> Admit(std::span<const std::byte> bytes, const HelloArrival& arrival, TimePoint now);

  // "another machine ..." while a clone of this node has been heard lately; empty else.
  std::string Contested(TimePoint now) const;
  // "hellos of ab come back on cd", for each pair of own ports that hear each other now.
  std::vector<std::string> OwnHeard(TimePoint now) const;
  // Whether this node has no key, as its own proofs show.
  bool open() const;

  // At most one line of a kind in ten seconds; how many were left out is said with the next.
  void Warn(const std::string& kind, const std::string& sentence, TimePoint now);

 private:
  bool Proven(std::span<const std::byte> bytes, const SealedHello& sealed, const HelloArrival& arrival, TimePoint now);
  void OwnCameBack(const Hello& hello, const HelloArrival& arrival, TimePoint now);

  struct Line {
    TimePoint said{};
    uint64_t left_out = 0;
  };
  const NodeId self_;
  const uint64_t incarnation_;
  const Hooks hooks_;
  HelloCounts& counts_;
  ReplayGuard guard_;
  std::map<std::string, Line> lines_;
  std::map<std::string, TimePoint> own_heard_;
  std::string contested_;
  TimePoint contested_at_{};
};

}  // namespace relay::agent
