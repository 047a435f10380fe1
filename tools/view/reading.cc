#include "view/reading.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "view/json.h"

namespace relay::view {
namespace {

PortReading PortOf(const Json& json) {
  PortReading out;
  out.port = TextAt(json, "port");
  out.up = FlagAt(json, "up");
  out.told = json.contains("received_bytes");
  out.received_bytes = NumberAt(json, "received_bytes");
  out.sent_bytes = NumberAt(json, "sent_bytes");
  out.errors = NumberAt(json, "errors");
  out.drops = NumberAt(json, "drops");
  return out;
}

HopReading HopOf(const Json& json) {
  HopReading out;
  out.neighbour = TextAt(json, "neighbour");
  out.port = TextAt(json, "port");
  out.told = json.contains("received_bytes");
  out.received_bytes = NumberAt(json, "received_bytes");
  out.sent_bytes = NumberAt(json, "sent_bytes");
  out.retransmits = NumberAt(json, "retransmits");
  out.rtt_us = NumberAt(json, "rtt_us");
  out.unsent_bytes = NumberAt(json, "unsent_bytes");
  return out;
}

CircuitReading CircuitOf(const Json& json) {
  CircuitReading out;
  out.connection = TextAt(json, "connection");
  out.epoch = NumberAt(json, "epoch");
  const std::string role = TextAt(json, "role");
  out.role = role == "relay" ? Role::kRelay : role == "destination" ? Role::kDestination : Role::kSource;
  out.path = TextAt(json, "path");
  out.from = TextAt(json, "from");
  out.to = TextAt(json, "to");
  out.age_ms = NumberAt(json, "age_ms");
  for (const Json& hop : ListAt(json, "hops")) out.hops.push_back(HopOf(hop));
  return out;
}

NodeReading NodeOf(const Json& json) {
  NodeReading out;
  out.node = TextAt(json, "node");
  out.name = TextAt(json, "name");
  out.monotonic_ns = NumberAt(json, "monotonic_ns");
  for (const Json& port : ListAt(json, "ports")) out.ports.push_back(PortOf(port));
  out.circuits_total = NumberAt(json, "circuits_total");
  for (const Json& circuit : ListAt(json, "circuits")) out.circuits.push_back(CircuitOf(circuit));
  return out;
}

}  // namespace

std::string CircuitReading::Key() const { return fmt::format("{}.{}", connection, epoch); }

const char* RoleText(Role role) {
  return role == Role::kSource ? "source" : role == Role::kRelay ? "relay" : "destination";
}

Result<NodeReading> ParseReading(std::string_view text) {
  auto json = ParseAnswer(text, "flows");
  RELAY_TRY(json);
  if (!json->is_object() || TextAt(*json, "name").empty()) {
    return Fail(ErrorCode::kRemote, "the agent's answer to flows is not a node's: is it of the same version?");
  }
  return NodeOf(*json);
}

Result<std::vector<NodeReading>> ParseSurvey(std::string_view text) {
  auto json = ParseAnswer(text, "survey");
  RELAY_TRY(json);
  if (!json->is_array()) {
    return Fail(ErrorCode::kRemote, "the agent's answer to survey is not a list: is it of the same version?");
  }
  std::vector<NodeReading> out;
  for (const Json& node : *json) {
    if (node.is_object() && !TextAt(node, "name").empty()) out.push_back(NodeOf(node));
  }
  return out;
}

}  // namespace relay::view
