// Records that several tests look at.
#pragma once
#include <string>

#include "fabric/link_state.h"

namespace relay::fabric {

inline Port PortOf(const std::string& name, const std::string& address, uint32_t speed = 1000) {
  Port port;
  port.name = name;
  if (!address.empty()) port.addresses.push_back(*SocketAddress::Parse(address));
  port.speed_mbit = speed;
  return port;
}

// Node `node` with port "p<peer>" to each peer, claiming a link to that peer's port "p<node>".
inline Record RecordOf(NodeId node, const std::vector<NodeId>& peers, const std::string& name = "") {
  Record record;
  record.node = node;
  record.edition = {1, 1};
  record.name = name.empty() ? "host" + std::to_string(node) : name;
  record.build = "0.1.0";
  record.agent_port = 21517;
  for (NodeId peer : peers) {
    const NodeId low = std::min(node, peer), high = std::max(node, peer);
    const std::string address = "10." + std::to_string(low % 250) + "." + std::to_string(high % 250) + ".";
    record.ports.push_back(PortOf("p" + std::to_string(peer), address + (node == low ? "1" : "2")));
    record.neighbours.push_back(
        {static_cast<uint16_t>(record.ports.size() - 1), peer, "p" + std::to_string(node), 5, false});
  }
  return record;
}

inline Fabric GraphOf(const std::vector<Record>& records, NodeId self) {
  std::vector<const Record*> pointers;
  for (const Record& record : records) pointers.push_back(&record);
  return MakeGraph(pointers, self);
}

// A proof that only this test's agents can make.
inline Mac FakeSeal(std::span<const std::byte> bytes) {
  Mac mac{};
  for (size_t i = 0; i < bytes.size(); ++i) {
    mac[i % mac.size()] =
        static_cast<std::byte>(static_cast<unsigned>(mac[i % mac.size()]) * 31 + static_cast<unsigned>(bytes[i]) + 7);
  }
  return mac;
}

inline SealedRecord Sealed(const Record& record, uint32_t age_ms = 0) {
  SealedRecord sealed{EncodeRecord(record), {}, age_ms};
  sealed.mac = FakeSeal(sealed.bytes);
  return sealed;
}

}  // namespace relay::fabric
