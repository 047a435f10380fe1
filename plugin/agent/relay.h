// The circuits that cross this node.
#pragma once
#include <map>
#include <memory>

#include "agent/relayed_circuit.h"

namespace relay::agent {

class Relay {
 public:
  Relay(EventLoop& loop, Counters& counters) : loop_(loop), counters_(counters) {}

  void Join(RelayedCircuit::Facts facts, RelayedCircuit::Sides sides, Budget::Lease lease);
  size_t size() const { return circuits_.size(); }
  const std::map<uint64_t, std::unique_ptr<RelayedCircuit>>& circuits() const { return circuits_; }

 private:
  EventLoop& loop_;
  Counters& counters_;
  PipePool pipes_;
  std::map<uint64_t, std::unique_ptr<RelayedCircuit>> circuits_;
  uint64_t next_ = 1;
};

}  // namespace relay::agent
