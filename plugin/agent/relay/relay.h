// The circuits that cross this node.
#pragma once
#include <map>
#include <memory>

#include "agent/relay/rdma_relay.h"
#include "agent/relay/relayed_circuit.h"

namespace relay::agent {

class Relay {
 public:
  // `slots`: what may be registered for payload relayed by RDMA.
  Relay(EventLoop& loop, Counters& counters, SlotBudget slots)
      : loop_(loop), counters_(counters), slots_(std::move(slots)) {}

  // `rdma`: where devices carry the messages, beside these sockets; null: the sockets do.
  void Join(RelayedCircuit::Facts facts, RelayedCircuit::Sides sides, Budget::Lease lease,
            std::unique_ptr<RdmaRelay> rdma = nullptr);
  // Ends the circuits over this link: nothing crosses it any more, and both ends should hear of it now, not when their
  // hops are late. How many there were.
  size_t LinkLost(const fabric::LinkName& link, const std::string& why);
  SlotBudget& slots() { return slots_; }
  const SlotBudget& slots() const { return slots_; }
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
