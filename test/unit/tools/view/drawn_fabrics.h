// Fabrics to be drawn, of nodes A, B, C, ... and cables between them.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "relay/fabric.h"

namespace relay::view {

using fabric::Fabric;

struct End {
  size_t node;
  std::string port;
};

inline size_t PortOn(Fabric& fabric, const End& end, bool last_resort) {
  auto& ports = fabric.nodes[end.node].ports;
  for (size_t i = 0; i < ports.size(); ++i) {
    if (ports[i].name == end.port) return i;
  }
  ports.push_back({end.port, {}, 10000, fabric::PortKind::kTcp, last_resort});
  return ports.size() - 1;
}

inline void Join(Fabric& fabric, const End& a, const End& b, bool last_resort = false) {
  fabric::Link link;
  link.a = {a.node, PortOn(fabric, a, last_resort)};
  link.b = {b.node, PortOn(fabric, b, last_resort)};
  link.speed_mbit = 10000;
  link.last_resort = last_resort;
  fabric.links.push_back(link);
}

inline Fabric Nodes(size_t count) {
  Fabric out;
  for (size_t i = 0; i < count; ++i) {
    fabric::Node node;
    node.id = i + 1;
    node.name = std::string(1, static_cast<char>('A' + i % 26)) + (i < 26 ? "" : std::to_string(i / 26));
    out.nodes.push_back(node);
  }
  return out;
}

inline void LayCable(Fabric& fabric, size_t a, size_t b) {
  const std::string number = std::to_string(fabric.links.size());
  Join(fabric, {a, "p" + number}, {b, "q" + number});
}

inline Fabric Chain(size_t count) {
  Fabric out = Nodes(count);
  for (size_t i = 0; i + 1 < count; ++i) LayCable(out, i, i + 1);
  return out;
}

inline Fabric Ring(size_t count) {
  Fabric out = Chain(count);
  LayCable(out, count - 1, 0);
  return out;
}

inline void AddLan(Fabric& fabric) {
  for (size_t i = 0; i < fabric.nodes.size(); ++i) {
    for (size_t j = 0; j < i; ++j) Join(fabric, {j, "eth0"}, {i, "eth0"}, true);
  }
}

inline std::vector<Fabric> Samples() {
  std::vector<Fabric> out = {Chain(1), Chain(3), Chain(13), Ring(4), Ring(9), Nodes(3)};
  Fabric star = Nodes(8);
  for (size_t i = 1; i < 8; ++i) LayCable(star, 0, i);
  out.push_back(star);
  Fabric grid = Nodes(12);
  for (size_t r = 0; r < 3; ++r) {
    for (size_t c = 0; c < 4; ++c) {
      if (c < 3) LayCable(grid, 4 * r + c, 4 * r + c + 1);
      if (r < 2) LayCable(grid, 4 * r + c, 4 * r + c + 4);
    }
  }
  out.push_back(grid);
  Fabric twins = Chain(3);
  for (int i = 0; i < 3; ++i) LayCable(twins, 0, 1);
  out.push_back(twins);
  Fabric lan = Chain(4);
  AddLan(lan);
  out.push_back(lan);
  uint64_t state = 11;
  for (size_t count : {20, 50}) {
    Fabric random = Nodes(count);
    for (size_t i = 1; i < count; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      LayCable(random, i, (state >> 33) % i);
    }
    out.push_back(random);
  }
  return out;
}

// A chain A-B-C-D: RoCE, InfiniBand at one end alone, and an end without RDMA.
inline Fabric MixedKinds() {
  Fabric chain = Chain(4);
  for (fabric::Node& node : chain.nodes) {
    for (fabric::Port& port : node.ports) port.kind = fabric::PortKind::kRdma;
  }
  chain.nodes[1].ports[1].infiniband = true;
  chain.nodes[3].ports[0].kind = fabric::PortKind::kTcp;
  chain.links[0].kind = fabric::PortKind::kRdma;
  return chain;
}

}  // namespace relay::view
