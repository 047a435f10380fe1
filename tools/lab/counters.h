// What the interfaces and the kernel of a node counted: proof of which way bytes went. Pure; the caller reads the
// files inside the node's network namespace.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace relay::lab {

struct InterfaceCounters {
  std::string name;
  uint64_t rx_bytes = 0, rx_packets = 0, tx_bytes = 0, tx_packets = 0;
};

struct NodeCounters {
  std::string node;
  std::vector<InterfaceCounters> interfaces;  // lo included, by name
  uint64_t ip_forwarded = 0;                  // IPv4 packets that this kernel forwarded
};

// The texts of /proc/net/dev and /proc/net/snmp.
NodeCounters ParseCounters(std::string node, std::string_view dev, std::string_view snmp);

std::string CountersTable(const std::vector<NodeCounters>& nodes);
// {"A":{"ip_forwarded":0,"ab":{"rx_bytes":1,"rx_packets":1,"tx_bytes":1,"tx_packets":1},...},...}.
std::string CountersJson(const std::vector<NodeCounters>& nodes);

}  // namespace relay::lab
