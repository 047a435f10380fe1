// Fabrics that several tests look at.
#pragma once
#include <string>

#include "fabric/hash.h"
#include "fabric/link_facts.h"
#include "relay/fabric.h"

namespace relay::fabric {

inline constexpr char kChain[] = R"({"version": 1, "name": "chain-3",
  "nodes": [
    {"name": "A", "ports": [{"name": "ab", "addresses": ["10.77.0.1"], "speed": 1000, "kind": "tcp"}]},
    {"name": "B", "ports": [{"name": "ba", "addresses": ["10.77.0.2"], "speed": 1000},
                            {"name": "bc", "addresses": ["10.77.0.5", "fe80::1"], "speed": 2000}]},
    {"name": "C", "ports": [{"name": "cb", "addresses": ["10.77.0.6"]}]}
  ],
  "links": [
    {"ends": ["A/ab", "B/ba"], "latency": 5},
    {"ends": ["C/cb", "B/bc"], "speed": 1500}
  ]})";

inline Fabric Chain() { return ParseFabric(kChain, "chain.json").value(); }

// Links between numbered nodes N0, N1, ...; ports are made as needed.
class FabricMaker {
 public:
  explicit FabricMaker(size_t nodes) {
    for (size_t i = 0; i < nodes; ++i) {
      const std::string name = "N" + std::to_string(i);
      fabric_.nodes.push_back({HashName(name), name, {}});
    }
  }
  FabricMaker& Join(size_t x, size_t y, uint32_t speed, uint32_t latency = 0, PortKind kind = PortKind::kTcp) {
    fabric_.links.push_back({AddPort(x, kind), AddPort(y, kind), speed, latency, kind});
    return *this;
  }
  // Makes the link joined last one of last resort.
  FabricMaker& AsLastResort() {
    fabric_.links.back().last_resort = true;
    return *this;
  }
  FabricMaker& Drain(size_t node) {
    fabric_.nodes[node].draining = true;
    return *this;
  }
  const Fabric& fabric() const { return fabric_; }

 private:
  LinkEnd AddPort(size_t node, PortKind kind) {
    auto& ports = fabric_.nodes[node].ports;
    const std::string address = "10." + std::to_string(node % 200) + "." + std::to_string(ports.size() / 250) + "." +
                                std::to_string(1 + ports.size() % 250);
    ports.push_back({"p" + std::to_string(ports.size()), {*SocketAddress::Parse(address)}, 0, kind});
    return {node, ports.size() - 1};
  }
  Fabric fabric_;
};

}  // namespace relay::fabric
