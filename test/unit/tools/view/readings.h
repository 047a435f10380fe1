// What an agent answers about what flows, as values: the relay in the middle of a chain of three.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "relay/fabric.h"
#include "view/reading.h"

namespace relay::view::readings {

inline HopReading Hop(const std::string& neighbour, const std::string& port, uint64_t received, uint64_t sent) {
  HopReading out;
  out.neighbour = neighbour;
  out.port = port;
  out.told = true;
  out.received_bytes = received;
  out.sent_bytes = sent;
  out.rtt_us = 100;
  return out;
}

inline CircuitReading Circuit(Role role, std::vector<HopReading> hops) {
  CircuitReading out;
  out.connection = "00000000000000aa";
  out.epoch = 1;
  out.role = role;
  out.path = "A ab--ba B bc--cb C";
  out.from = "A";
  out.to = "C";
  out.hops = std::move(hops);
  return out;
}

inline PortReading Port(const std::string& name, uint64_t received, uint64_t sent) {
  return {name, true, true, received, sent, 0, 0};
}

// The relay of a chain, at a second and a half: 1 MB came from A and went to C, 1 kB came back.
struct Relay {
  NodeReading before, now;
  Relay() {
    before.node = now.node = "0b";
    before.name = now.name = "B";
    before.monotonic_ns = 1'000'000'000;
    now.monotonic_ns = 2'500'000'000;
    before.ports = {Port("ba", 500, 100), Port("bc", 100, 500)};
    now.ports = {Port("ba", 1500500, 1600), Port("bc", 1600, 1500500)};
    before.circuits = {Circuit(Role::kRelay, {Hop("A", "ba", 0, 0), Hop("C", "bc", 0, 0)})};
    now.circuits = {Circuit(Role::kRelay, {Hop("A", "ba", 1000000, 1000), Hop("C", "bc", 1000, 1000000)})};
    now.circuits[0].hops[1].retransmits = 3;
    now.circuits_total = 1;
  }
};

inline fabric::Fabric Chain() {
  fabric::Fabric out;
  out.name = "chain-3";
  for (const char* name : {"A", "B", "C"}) {
    fabric::Node node;
    node.name = name;
    out.nodes.push_back(node);
  }
  const auto port = [](const char* name) { return fabric::Port{name, {}, 100, fabric::PortKind::kTcp, false}; };
  out.nodes[0].ports = {port("ab")};
  out.nodes[1].ports = {port("ba"), port("bc")};
  out.nodes[2].ports = {port("cb")};
  fabric::Link link;
  link.speed_mbit = 100;
  link.a = {0, 0};
  link.b = {1, 0};
  out.links.push_back(link);
  link.a = {2, 0};  // declared from its far end
  link.b = {1, 1};
  out.links.push_back(link);
  return out;
}

}  // namespace relay::view::readings
