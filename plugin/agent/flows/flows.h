// What flows at this node, for whoever asks: the circuits that start, end and pass here with what the kernel counts for
// each of their sockets, and what it counts for the interfaces behind this node's ports. Nothing is polled: an answer
// asks the kernel, and an entry whose sockets the kernel does not know any more ends then. One thread, the agent's.
#pragma once
#include <initializer_list>
#include <span>
#include <string>

#include "agent/flows/flow_table.h"
#include "agent/flows/interface_facts.h"
#include "agent/flows/socket_diag.h"
#include "base/clock.h"
#include "relay/setup.h"

namespace relay::agent {

class Flows {
 public:
  // One of this node's ports and the interface behind it.
  struct NodePort {
    std::string name, interface;
  };
  struct Whose {
    NodeId node = 0;
    std::string name;
    std::span<const NodePort> ports;
  };

  explicit Flows(const Clock& clock) : clock_(clock), since_(clock.Now()) {}

  // A circuit is open. `sockets` are its hops at this node, asked for their addresses here and now: call it while they
  // are still this process's, before they are handed over or joined. At a relay the one towards the source comes first.
  // `path` is fabric::PathText's. A path to oneself has no TCP socket and is not kept.
  void Opened(const CircuitName& name, FlowRole role, const std::string& path, std::initializer_list<int> sockets);

  // Answers the question "flows" with one JSON object, see docs/operating.md. Circuits are told busiest first while
  // they fit into most_bytes (a few hundred bytes each); "circuits_total" counts them all.
  std::string Json(const Whose& whose, size_t most_bytes) const;

  // How many circuits have this role here, after asking the kernel.
  struct Totals {
    size_t source = 0, relay = 0, destination = 0;
  };
  Totals Count() const;

  // Circuits that were opened since then are known.
  TimePoint since() const { return since_; }

 private:
  void Refresh() const;

  const Clock& clock_;
  const TimePoint since_;
  // Asking changes only what is remembered of the last answer.
  mutable FlowTable table_;
  mutable SocketDiag sockets_;
};

}  // namespace relay::agent
