// The neighbours on this node's wires: heard, heard back, silent. Fed with hellos and times; says when hellos leave.
// Pure. One thread.
//
// An adjacency is a pair of ports. It stands while the other port's hellos name this one, and ends after kSilence
// without any, or with the first hello that no longer names it: then the other side has not heard this one for so long.
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
#include "agent/discovery/path_mtu.h"

namespace relay::agent {

class WireAdjacencies {
 public:
  struct Self {
    NodeId node = 0;
    uint64_t incarnation = 0;
    std::string name;
    uint16_t agent_port = 0;
  };
  // Called from the methods below; must not call back into them.
  struct Hooks {
    // Sends to everyone on that port's wire, over every family that it has, and fills in the sequence.
    std::function<void(const std::string& port, const Hello&)> send;
    // Sends one, padded to an IP packet of so many bytes, over one family of that port.
    std::function<void(const std::string& port, const Hello&, uint32_t packet)> send_padded;
    std::function<void(const Adjacent&)> found;
    std::function<void(const Adjacent&, const Loss&)> lost;
  };
  WireAdjacencies(Self self, Hooks hooks, HelloCounts& counts);

  struct PortFacts {
    bool link_local = false;  // it has an IPv6 link-local address: a neighbour heard over IPv4 first is likely to be
                              // heard over that in a moment
    uint32_t mtu = 0;         // of the interface; 0: not told
  };
  // A port is there, or has one family more, or another MTU.
  void PortUp(const std::string& port, const PortFacts& facts, TimePoint now);
  void PortDown(const std::string& port, const Loss& loss);
  // One that HelloGate has admitted.
  void Receive(const HelloArrival& arrival, const Hello& hello, TimePoint now);
  // Sends and ages what is due; returns when to be called again.
  TimePoint Tick(TimePoint now);
  // Tells everybody that this agent ends.
  void Leave();

  bool IsAdjacent(NodeId node) const;
  bool IsAdjacent(const std::string& near_port, NodeId node) const;
  // "ab: B/ba at fe80::1, hears us; C/cx, does not hear us"
  std::string Describe(const std::string& port) const;

 private:
  // An address over which a neighbour is heard.
  struct Sighting {
    SocketAddress from, to;
    TimePoint heard{};
  };
  struct Heard {
    uint64_t incarnation = 0, sequence = 0;
    std::string name;
    uint16_t agent_port = 0;
    bool names_us = false;
    TimePoint first{};
    std::vector<Sighting> sightings;
    PathMtu mtu;                   // from its port to ours
    std::optional<Adjacent> told;  // as `found` said it
    TimePoint heard() const;
  };
  struct Port {
    HelloSchedule schedule;
    TimePoint up{};
    PortFacts facts;
    uint32_t rounds = 0;  // of padded hellos
    TimePoint round_due{};
    std::map<PortName, Heard> heard;
  };
  using HeardOn = std::pair<const PortName, Heard>;

  Heard* Note(Port& port, const PortName& far, TimePoint now);
  void See(Heard& heard, const HelloArrival& arrival, TimePoint now);
  void Settle(const std::string& name, Port& port, HeardOn& entry, TimePoint now);
  void Drop(Heard& heard, const Loss& loss);
  void Forgive(TimePoint now);
  void Age(const std::string& name, Port& port, TimePoint now);
  void Say(const std::string& name, const Port& port, TimePoint now, bool leaving);
  Hello Introduction(const std::string& name, const Port& port) const;
  TimePoint TryLengths(const std::string& name, Port& port, TimePoint now, bool said);
  Duration Spread(const Port& port) const;

  const Self self_;
  const Hooks hooks_;
  HelloCounts& counts_;
  std::map<std::string, Port> ports_;
  std::optional<TimePoint> ticked_;
};

}  // namespace relay::agent
