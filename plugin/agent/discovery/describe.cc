// What an operator is told of discovery, one fact per line.
#include "agent/discovery/node_discovery.h"

namespace relay::agent {
namespace {

void AddLine(std::string& text, const std::string& line) {
  if (!line.empty()) text += (text.empty() ? "" : "\n") + line;
}

std::string CountsText(const HelloCounts& c) {
  const std::pair<const char*, uint64_t> all[] = {{"sent", c.sent},
                                                  {"not sent", c.send_failed},
                                                  {"accepted", c.received},
                                                  {"refused for their TTL", c.refused_ttl},
                                                  {"that were none", c.refused_bytes},
                                                  {"of another key", c.refused_wrong_key},
                                                  {"without a key", c.refused_no_key},
                                                  {"said before", c.refused_replay},
                                                  {"of strangers", c.refused_stranger},
                                                  {"through the own fabric", c.refused_through_fabric},
                                                  {"of our own", c.own},
                                                  {"of a clone", c.contested},
                                                  {"too many on a wire", c.crowded}};
  std::string out;
  for (const auto& [what, count] : all) {
    if (count != 0) out += (out.empty() ? "hellos: " : ", ") + std::to_string(count) + " " + what;
  }
  return out;
}

}  // namespace

std::string NodeDiscovery::Describe() const {
  std::string out;
  for (const auto& chosen : choice_.chosen) {
    AddLine(out, wires_.Describe(chosen.name) + (chosen.last_resort ? " (a port of last resort)" : ""));
    AddLine(out, wire_ports_.Trouble(chosen.name));
  }
  AddLine(out, routed_.Describe());
  AddLine(out, listed_.Trouble());
  for (const auto& [interface, why] : choice_.refused) AddLine(out, "not used: " + interface + " " + why);
  const TimePoint now = loop_.clock().Now();
  for (const std::string& pair : gate_.OwnHeard(now)) AddLine(out, pair + ": a cable or a switch joins these two");
  AddLine(out, gate_.Contested(now));
  AddLine(out, CountsText(counts_));
  return out;
}

}  // namespace relay::agent
