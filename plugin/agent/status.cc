// What "nccl-relay status" shows of an agent, as JSON.
#include <cstdio>

#include "agent/agent.h"
#include "agent/refusal.h"

namespace relay::agent {
namespace {

// An answer is one packet: beyond this many circuits only their number is told.
constexpr size_t kMostCircuits = 150;

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    char escaped[8];
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string CircuitJson(const RelayedCircuit& circuit) {
  const auto& facts = circuit.facts();
  return "{\"connection\":" + Quoted(HashText(facts.name.connection)) +
         ",\"circuit\":" + std::to_string(facts.name.circuit) + ",\"epoch\":" + std::to_string(facts.name.epoch) +
         ",\"path\":" + Quoted(facts.path.substr(0, 256)) + ",\"from\":" + Quoted(facts.from) +
         ",\"to\":" + Quoted(facts.to) + ",\"bytes_forward\":" + std::to_string(circuit.bytes_forward()) +
         ",\"bytes_backward\":" + std::to_string(circuit.bytes_backward()) + "}";
}

}  // namespace

std::string Agent::Status() const {
  const LocalNode& node = options_.node;
  std::string circuits;
  size_t told = 0;
  for (const auto& [id, circuit] : relay_.circuits()) {
    if (told++ == kMostCircuits) break;
    circuits += (circuits.empty() ? "" : ",") + CircuitJson(*circuit);
  }
  return "{\"node\":" + Quoted(HashText(node.node().id)) + ",\"name\":" + Quoted(node.name()) +
         ",\"build\":" + Quoted(RELAY_VERSION) + ",\"agreement\":" + Quoted(HashText(node.agreement)) +
         ",\"port\":" + std::to_string(node.port) + ",\"auto\":" + (options_.auto_started ? "true" : "false") +
         ",\"clients\":" + std::to_string(clients_.size()) + ",\"tokens\":" + std::to_string(tokens_.size()) +
         ",\"half_open\":" + std::to_string(desk_.half_open()) + ",\"relayed\":" + std::to_string(relay_.size()) +
         ",\"circuits\":[" + circuits + "],\"counters\":" + CountersJson(counters_) +
         ",\"limits\":{\"descriptors\":" + std::to_string(budget_.limit()) +
         ",\"descriptors_used\":" + std::to_string(budget_.used()) + "}}";
}

}  // namespace relay::agent
