// The circuits that cross this node.
#pragma once
#include <map>
#include <memory>

#include "agent/rdma_relay.h"
#include "agent/relayed_circuit.h"

namespace relay::agent {

class Relay {
 public:
  // `slot_bytes`: most memory that is registered for payload relayed by RDMA.
  Relay(EventLoop& loop, Counters& counters, size_t slot_bytes)
      : loop_(loop), counters_(counters), slots_(slot_bytes) {}

  // `rdma`: where devices carry the messages, beside these sockets; null: the sockets do.
  void Join(RelayedCircuit::Facts facts, RelayedCircuit::Sides sides, Budget::Lease lease,
            std::unique_ptr<RdmaRelay> rdma = nullptr);
  SlotBudget& slots() { return slots_; }
  size_t size() const { return circuits_.size(); }
  const std::map<uint64_t, std::unique_ptr<RelayedCircuit>>& circuits() const { return circuits_; }

 private:
  void StartRdma(uint64_t id, std::unique_ptr<RdmaRelay> rdma);

  EventLoop& loop_;
  Counters& counters_;
  PipePool pipes_;
  SlotBudget slots_;
  std::map<uint64_t, std::unique_ptr<RelayedCircuit>> circuits_;
  std::map<uint64_t, std::unique_ptr<RdmaRelay>> rdma_;  // of those that have one
  uint64_t next_ = 1;
};

}  // namespace relay::agent
