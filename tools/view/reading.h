// What agents answer to "flows" and "survey", as values. Text from an agent is as hostile as any.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "relay/result.h"

namespace relay::view {

struct PortReading {
  std::string port;
  bool up = false;
  bool told = false;  // the figures are there
  uint64_t received_bytes = 0, sent_bytes = 0, errors = 0, drops = 0;
};

struct HopReading {
  std::string neighbour, port;
  bool told = false;
  uint64_t received_bytes = 0, sent_bytes = 0, retransmits = 0, rtt_us = 0, unsent_bytes = 0;
};

enum class Role : uint8_t { kSource, kRelay, kDestination };

struct CircuitReading {
  std::string connection;  // 16 hex digits
  uint64_t epoch = 0;
  Role role = Role::kSource;
  std::string path, from, to;
  uint64_t age_ms = 0;
  std::vector<HopReading> hops;  // at a relay the one towards the source first

  // The same circuit has the same on every node.
  std::string Key() const;
};

struct NodeReading {
  std::string node, name;
  uint64_t monotonic_ns = 0;  // of that node's clock
  std::vector<PortReading> ports;
  uint64_t circuits_total = 0;
  std::vector<CircuitReading> circuits;
};

const char* RoleText(Role role);

Result<NodeReading> ParseReading(std::string_view json);
// An array of readings; entries that are none are left out.
Result<std::vector<NodeReading>> ParseSurvey(std::string_view json);

}  // namespace relay::view
