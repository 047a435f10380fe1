#include "view/rates.h"

#include <algorithm>
#include <tuple>

namespace relay::view {
namespace {

double Grown(uint64_t before, uint64_t now) { return now > before ? static_cast<double>(now - before) : 0; }

const PortReading* FindPort(const NodeReading* reading, const std::string& port) {
  if (reading == nullptr) return nullptr;
  const auto found = std::find_if(reading->ports.begin(), reading->ports.end(),
                                  [&](const PortReading& candidate) { return candidate.port == port; });
  return found == reading->ports.end() || !found->told ? nullptr : &*found;
}

// A node may be both ends of what it relays to itself, so the role belongs to the name.
using CircuitKey = std::pair<std::string, Role>;

std::map<CircuitKey, const CircuitReading*> CircuitsOf(const NodeReading* reading) {
  std::map<CircuitKey, const CircuitReading*> out;
  if (reading == nullptr) return out;
  for (const CircuitReading& circuit : reading->circuits) out[{circuit.Key(), circuit.role}] = &circuit;
  return out;
}

const HopReading* FindHop(const CircuitReading* circuit, const HopReading& like) {
  if (circuit == nullptr) return nullptr;
  for (const HopReading& hop : circuit->hops) {
    if (hop.port == like.port && hop.neighbour == like.neighbour && hop.told) return &hop;
  }
  return nullptr;
}

HopRate RateOf(const HopReading* before, const HopReading& now, double seconds) {
  HopRate out{now, 0, 0, 0};
  if (before == nullptr || seconds <= 0) return out;
  out.in_bits_s = 8 * Grown(before->received_bytes, now.received_bytes) / seconds;
  out.out_bits_s = 8 * Grown(before->sent_bytes, now.sent_bytes) / seconds;
  out.retransmits_s = Grown(before->retransmits, now.retransmits) / seconds;
  return out;
}

// Its bytes each way, by the hop that knows them at this node: a relay's counts both, and either may be gone already.
void SumUp(CircuitRate& circuit) {
  const bool relay = circuit.now.role == Role::kRelay;
  for (size_t i = 0; i < circuit.hops.size(); ++i) {
    const HopRate& hop = circuit.hops[i];
    const bool onward = circuit.now.role == Role::kSource || (relay && i == 1);
    circuit.forward_bits_s = std::max(circuit.forward_bits_s, onward ? hop.out_bits_s : hop.in_bits_s);
    circuit.backward_bits_s = std::max(circuit.backward_bits_s, onward ? hop.in_bits_s : hop.out_bits_s);
    circuit.forward_bytes = std::max(circuit.forward_bytes, onward ? hop.now.sent_bytes : hop.now.received_bytes);
    circuit.backward_bytes = std::max(circuit.backward_bytes, onward ? hop.now.received_bytes : hop.now.sent_bytes);
  }
}

CircuitRate RateOf(const CircuitReading* before, const CircuitReading& now, double seconds) {
  CircuitRate out;
  out.now = now;
  for (const HopReading& hop : now.hops) out.hops.push_back(RateOf(FindHop(before, hop), hop, seconds));
  SumUp(out);
  return out;
}

PortRate RateOf(const PortReading* before, const PortReading& now, double seconds) {
  PortRate out;
  out.now = now;
  if (before == nullptr || seconds <= 0) return out;
  out.in_bits_s = 8 * Grown(before->received_bytes, now.received_bytes) / seconds;
  out.out_bits_s = 8 * Grown(before->sent_bytes, now.sent_bytes) / seconds;
  return out;
}

bool Busier(const CircuitRate& a, const CircuitRate& b) {
  const auto order = [](const CircuitRate& c) {
    return std::tuple(-(c.forward_bits_s + c.backward_bits_s), -static_cast<double>(c.forward_bytes + c.backward_bytes),
                      c.now.Key());
  };
  return order(a) < order(b);
}

}  // namespace

NodeRates RatesBetween(const NodeReading* before, const NodeReading& now) {
  const double seconds = before == nullptr ? 0 : Grown(before->monotonic_ns, now.monotonic_ns) / 1e9;
  NodeRates out;
  out.name = now.name;
  out.circuits_total = now.circuits_total;
  for (const PortReading& port : now.ports) out.ports.push_back(RateOf(FindPort(before, port.port), port, seconds));
  const auto circuits = CircuitsOf(before);
  for (const CircuitReading& circuit : now.circuits) {
    const auto known = circuits.find({circuit.Key(), circuit.role});
    out.circuits.push_back(RateOf(known == circuits.end() ? nullptr : known->second, circuit, seconds));
  }
  std::stable_sort(out.circuits.begin(), out.circuits.end(), Busier);
  std::map<std::string, PortRate*> ports;
  for (PortRate& port : out.ports) ports[port.now.port] = &port;
  for (const CircuitRate& circuit : out.circuits) {
    for (const HopRate& hop : circuit.hops) {
      const auto port = ports.find(hop.now.port);
      if (port == ports.end()) continue;
      port->second->retransmits_s += hop.retransmits_s;
      port->second->rtt_us = std::max(port->second->rtt_us, hop.now.rtt_us);
    }
  }
  return out;
}

std::vector<NodeRates> RatesBetween(const std::vector<NodeReading>& before, const std::vector<NodeReading>& now) {
  std::map<std::string, const NodeReading*> earlier;
  for (const NodeReading& node : before) earlier[node.node + "/" + node.name] = &node;
  std::vector<NodeRates> out;
  for (const NodeReading& node : now) {
    const auto known = earlier.find(node.node + "/" + node.name);
    out.push_back(RatesBetween(known == earlier.end() ? nullptr : known->second, node));
  }
  return out;
}

}  // namespace relay::view
