#include "agent/relay/relay.h"

#include <algorithm>
#include <cinttypes>

#include "base/log.h"

namespace relay::agent {

void Relay::Join(RelayedCircuit::Facts facts, RelayedCircuit::Sides sides, Budget::Lease lease,
                 std::unique_ptr<RdmaRelay> rdma) {
  uint64_t id = next_++;
  RELAY_INFO("relaying circuit %016" PRIx64 ".%u: %s, %s", facts.name.connection, facts.name.epoch, facts.path.c_str(),
             rdma ? "rdma" : "tcp");
  auto done = [this, id] {
    auto node = circuits_.extract(id);
    rdma_.erase(id);
    const RelayedCircuit& c = *node.mapped();
    RELAY_INFO("circuit %016" PRIx64 ".%u ended: %" PRIu64 " bytes forward, %" PRIu64 " backward",
               c.facts().name.connection, c.facts().name.epoch, c.bytes_forward(), c.bytes_backward());
  };
  auto circuit = std::make_unique<RelayedCircuit>(RelayedCircuit::Tools{loop_, pipes_, counters_}, std::move(facts),
                                                  std::move(sides), std::move(lease), std::move(done));
  if (auto started = circuit->Start(); !started) {
    RELAY_WARN("a circuit cannot be relayed: %s", started.error().what.c_str());
    return;
  }
  circuits_[id] = std::move(circuit);
  if (rdma) StartRdma(id, std::move(rdma));
}

size_t Relay::LinkLost(const fabric::LinkName& link, const std::string& why) {
  std::vector<uint64_t> over;
  for (const auto& [id, circuit] : circuits_) {
    const auto& links = circuit->facts().links;
    if (std::find(links.begin(), links.end(), link) != links.end()) over.push_back(id);
  }
  for (uint64_t id : over) {
    circuits_.erase(id);
    rdma_.erase(id);
  }
  if (!over.empty()) RELAY_WARN("%zu circuits that pass here end: %s", over.size(), why.c_str());
  return over.size();
}

// The ends of the circuit learn from the end of its sockets that its devices do not go on.
void Relay::StartRdma(uint64_t id, std::unique_ptr<RdmaRelay> rdma) {
  RdmaRelay& relay = *rdma;
  rdma_[id] = std::move(rdma);
  auto fail = [this, id](const Error& error) {
    auto circuit = circuits_.extract(id);
    RELAY_WARN("the circuit over %s ends: %s", circuit ? circuit.mapped()->facts().path.c_str() : "?",
               error.what.c_str());
    auto ended = rdma_.extract(id);
  };
  if (Status started = relay.Start(fail); !started) fail(started.error());
}

}  // namespace relay::agent
