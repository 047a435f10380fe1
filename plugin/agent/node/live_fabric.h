// This node's view of a discovered fabric, kept true: ports and neighbours come in from discovery and sessions, records
// go round, and the graph that they describe goes into LocalNode. One thread, the agent's.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/discovery/discovery.h"
#include "agent/node/acceptor.h"
#include "agent/node/found_ports.h"
#include "agent/node/identity.h"
#include "agent/node/local_node.h"
#include "agent/session/session_table.h"
#include "fabric/link_state.h"
#include "fabric/route.h"

namespace relay::agent {

class LiveFabric {
 public:
  struct Options {
    Identity identity;
    std::string name;           // of this host
    std::string ifname, peers;  // as in DiscoveryOptions
    std::shared_ptr<const Key> key;
    bool rdma = true;             // NCCL_RELAY_RDMA
    VerbsRoots verbs_roots = {};  // of sysfs and /dev
  };
  struct Hooks {
    std::function<void()> ports;                                     // the doors changed
    std::function<void(const std::string& port)> limits;             // other packets come to that port than before
    std::function<void(const fabric::Fabric& before)> fabric;        // LocalNode has another fabric now
    std::function<std::string(const std::string& question)> answer;  // to a survey
    // A link of this node, by its session: before the fabric has it, and before it has it no more.
    std::function<void(const SessionFacts&)> link_up;
    std::function<void(const SessionFacts&, const Loss&)> link_down;
  };

  // Writes `node` from here on; the loop, `node` and the counters outlive it. Ports are known when it returns, and
  // neighbours a moment later.
  static Result<std::unique_ptr<LiveFabric>> Start(EventLoop& loop, LocalNode& node, Options options,
                                                   Counters& counters, Hooks hooks);
  ~LiveFabric();
  LiveFabric(const LiveFabric&) = delete;
  LiveFabric& operator=(const LiveFabric&) = delete;

  SessionTable& sessions() { return *sessions_; }
  // Where the agent listens: at every address of its ports.
  std::vector<Acceptor::Door> Doors() const;
  // Addresses for handles, with the agent's port.
  std::vector<SocketAddress> Reachable() const { return discovery_->Reachable(); }
  // Another node's, by the addresses of its handle.
  void Probe(NodeId node, const std::vector<SocketAddress>& addresses) { discovery_->Probe(node, addresses); }
  // Why that node is not in the fabric or no path leads to it: who is heard, where nobody is.
  std::string WhyNotFound(NodeId node) const;
  // Which end of a link that has left the fabric says so: "B no longer reports it".
  std::string WhoDropped(const fabric::LinkName& link) const;
  // Nothing new through this node from now on.
  void Drain();
  // The neighbours hear at once that this agent ends.
  void Leave() { discovery_->Leave(); }
  void Reconfigure(const std::string& ifname, const std::string& peers, std::shared_ptr<const Key> key);
  // What "status" and "discovery" answer.
  std::string Describe() const;
  const fabric::LinkState& records() const { return records_; }
  // Brings the counters of hellos up to date.
  void CountHellos();

 private:
  LiveFabric(EventLoop& loop, LocalNode& node, Options options, Counters& counters, Hooks hooks);
  Status StartDiscovery();
  fabric::LinkState::Hooks RecordHooks();
  SessionTable::Hooks SessionHooks();
  void OnPorts(const std::vector<fabric::Port>& ports);
  void LookUpVerbsAgain();
  void SetLimit(const Adjacent& adjacent, std::optional<PacketLimit> limit);
  void OnSessionUp(const SessionFacts& facts);
  void OnSessionDown(const SessionFacts& facts, const Loss& loss);
  void OnRecords(SessionId session, const fabric::LinkStateMessage& message);
  void Publish();
  void RebuildSoon();
  void Rebuild();
  void SayWhenSettled();
  void SayWhenContested();
  void Tick();

  EventLoop& loop_;
  LocalNode& node_;
  Options options_;
  Counters& counters_;
  Hooks hooks_;
  FoundPorts found_;
  fabric::LinkState records_;
  std::unique_ptr<SessionTable> sessions_;
  std::unique_ptr<Discovery> discovery_;
  bool draining_ = false;
  bool contested_ = false;
  uint64_t built_version_ = 0;  // of records_, behind node_.fabric
  EventLoop::TimerId rebuild_ = 0, tick_ = 0, settle_ = 0, measured_ = 0, verbs_again_ = 0;
};

}  // namespace relay::agent
