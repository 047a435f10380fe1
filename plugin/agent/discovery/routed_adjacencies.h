// The neighbours beyond routers: asked by unicast, believed when both hear each other and both ways lead through no
// node of the own fabric. Fed with hellos, routers seen and times. Pure. One thread.
//
// Whom this node answers. With a key: whoever proves it (HelloGate has checked). Without one: addresses that it asks
// itself, those on the wire of the interface that they come from, and, because the two ends of an NCCL connection do
// not both have the other's handle, those of private ranges (RFC 1918, 6598, 3927, 4193), at a bounded rate. Others are
// strangers.
//
// A hello by unicast names its addressee in `heard` only once the way to it is clear: two-way means that both have
// checked theirs.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/discovery/adjacency.h"
#include "agent/discovery/hello_counts.h"
#include "agent/discovery/hello_gate.h"
#include "agent/discovery/hello_schedule.h"
#include "agent/discovery/kernel_route.h"
#include "agent/discovery/way_check.h"
#include "agent/discovery/wire_adjacencies.h"

namespace relay::agent {

class RoutedAdjacencies {
 public:
  // Called from the methods below; must not call back into them.
  struct Hooks {
    // `from` may be empty: the kernel's choice. The sequence is the sender's to fill in; the TTL is the hello's.
    std::function<void(const SocketAddress& to, const SocketAddress& from, const Hello&)> send;
    std::function<std::optional<KernelRoute>(const SocketAddress&)> route;
    std::function<bool(const SocketAddress&)> is_own_fabric;
    // Adjacent by multicast, on that port or, where it is empty, on any.
    std::function<bool(const std::string& near_port, NodeId)> on_wire;
    std::function<bool()> open;  // no key
    std::function<void(const Adjacent&)> found;
    std::function<void(const Adjacent&, const Loss&)> lost;
    std::function<void(const std::string& kind, const std::string& sentence, TimePoint)> warn;
    // True for interfaces that carry data: a way by another one is no link. Empty: all do.
    std::function<bool(const std::string& interface)> carries_data = {};
  };
  static constexpr Duration kProbeFor = std::chrono::seconds(60);
  static constexpr Duration kListedPeriod = std::chrono::seconds(5);
  static constexpr size_t kMostPeers = 1024, kMostCallers = 256;
  // Without a key, callers that this node does not ask itself get no more answers than these.
  static constexpr double kStrangersAtOnce = 40, kStrangersPerSecond = 20;

  RoutedAdjacencies(WireAdjacencies::Self self, Hooks hooks, HelloCounts& counts);

  void Probe(NodeId node, const std::vector<SocketAddress>& addresses, TimePoint now);
  // Asked for ever; replaces those listed before.
  void SetListed(const std::vector<SocketAddress>& addresses, TimePoint now);
  // One by unicast that HelloGate has admitted.
  void Receive(const HelloArrival& arrival, const Hello& hello, TimePoint now);
  void RouterSeen(const SocketAddress& destination, const SocketAddress& router, TimePoint now);
  // Interfaces or routes have changed.
  void CheckRoutes();
  TimePoint Tick(TimePoint now);
  void Leave(TimePoint now);

  // One line for each peer: "10.9.0.2:21517: C/ca, 1 router on the way".
  std::string Describe() const;

 private:
  struct Heard {
    Hello hello;       // the last, without its list
    SocketAddress at;  // the own address that it came to
    std::string via;   // the interface that it came in by
    TimePoint when{};
    int hops = 0;  // routers on its way here
    bool names_us = false;
  };
  struct Peer {
    SocketAddress address;
    bool listed = false;      // by the operator
    bool caller = false;      // it asked first
    bool router = false;      // asked only whether an agent answers there
    NodeId node = 0;          // whom Probe expects; 0: anybody
    TimePoint asked_until{};  // besides `listed`
    TimePoint kept_until{};   // answered, because it asks
    size_t attempt = 0;
    TimePoint next{}, said{};
    std::optional<Heard> heard;
    std::optional<KernelRoute> route;
    TimePoint route_until{};
    WayCheck way;
    bool clear = false;    // its verdict, of a way that is needed
    bool refused = false;  // it leads through the own fabric
    std::optional<Adjacent> told;
  };

  Peer* Note(const SocketAddress& address, TimePoint now);
  Peer* Caller(const HelloArrival& arrival, TimePoint now);
  bool MayAnswer(const SocketAddress& from, TimePoint now);
  void HearFrom(Peer& peer, const HelloArrival& arrival, const Hello& hello, TimePoint now);
  void LookAtRoute(Peer& peer, TimePoint now);
  bool OnItsWire(const Peer& peer) const;
  bool Needed(const Peer& peer) const;
  bool WayIsClear(Peer& peer, TimePoint now);
  void AskAlongTheWay(Peer& peer, TimePoint now);
  void Settle(Peer& peer, TimePoint now);
  void Drop(Peer& peer, const std::string& why, Loss::Cause cause = Loss::Cause::kOther);
  bool Taken(const Peer& peer, const Adjacent& adjacent) const;
  void Say(Peer& peer, uint8_t ttl, TimePoint now, bool leaving = false);
  void SendDue(Peer& peer, TimePoint now);
  Duration Interval(Peer& peer);
  bool Asked(const Peer& peer, TimePoint now) const;
  bool Wanted(const Peer& peer, TimePoint now) const;

  const WireAdjacencies::Self self_;
  const Hooks hooks_;
  HelloCounts& counts_;
  std::map<std::string, Peer> peers_;           // by address with port
  std::map<std::string, TimePoint> agents_at_;  // hosts from which an agent's hello came by unicast
  double stranger_tokens_ = kStrangersAtOnce;
  TimePoint stranger_tokens_at_{};
};

}  // namespace relay::agent
