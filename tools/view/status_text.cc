#include "view/status_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "view/quantity.h"
#include "view/reading.h"

namespace relay::view {
namespace {

constexpr size_t kMostListed = 16;

std::string Line(const char* label, const std::string& text) { return fmt::format("{:<12}{}\n", label, text); }

std::string AgentText(const Json& status) {
  std::string out = "nccl-relay " + TextAt(status, "build") + fmt::format(", pid {}", NumberAt(status, "pid"));
  out += ", up " + AgeText(NumberAt(status, "uptime_s") * 1000);
  out += FlagAt(status, "auto") ? ", started by a process of a job" : ", a daemon";
  if (FlagAt(status, "key")) out += ", with a key";
  if (FlagAt(status, "draining")) out += ", DRAINING: new circuits are refused";
  return out;
}

std::string FabricText(const Json& status) {
  const Json& fabric = ObjectAt(status, "fabric");
  std::string out = FlagAt(fabric, "declared") ? "declared" : "discovered";
  if (const std::string name = TextAt(fabric, "name"); !name.empty() && name != out) out += " " + name;
  out += ", " + CountText(NumberAt(fabric, "nodes"), "node") + ", " + CountText(NumberAt(fabric, "links"), "link");
  out += ", agreement " + TextAt(status, "agreement");
  if (!FlagAt(fabric, "declared")) out += ", settled " + AgeText(NumberAt(fabric, "settled_s") * 1000) + " ago";
  return out;
}

std::string PortText(const Json& port) {
  std::string out = TextAt(port, "port");
  if (TextAt(port, "interface") != out) out += " (" + TextAt(port, "interface") + ")";
  out = fmt::format("{:<12} {:<4} {:<13} {}", out, FlagAt(port, "up") ? "up" : "DOWN",
                    SpeedText(static_cast<uint32_t>(NumberAt(port, "speed_mbit"))), TextAt(port, "kind"));
  if (const std::string device = TextAt(port, "device"); !device.empty()) {
    out += fmt::format(" by {}/{}", device, NumberAt(port, "device_port"));
    if (TextAt(port, "link_layer") == "infiniband") out += " (InfiniBand)";
  }
  if (FlagAt(port, "last_resort")) out += ", last resort";
  size_t told = 0;
  for (const Json& neighbour : ListAt(port, "neighbours")) {
    if (told++ == kMostListed) break;
    out += (told == 1 ? "  to " : ", ") + TextAt(neighbour, "node") + "/" + TextAt(neighbour, "port");
    if (FlagAt(neighbour, "routed")) out += " (routed)";
  }
  const size_t all = ListAt(port, "neighbours").size();
  if (all == 0) out += "  to nobody";
  if (all > kMostListed) out += fmt::format(" and {} more", all - kMostListed);
  return out;
}

std::string ProcessesText(const Json& status) {
  std::string out;
  const Json& processes = ListAt(status, "processes");
  size_t told = 0;
  for (const Json& process : processes) {
    const std::string plugin = TextAt(process, "plugin");
    if (told++ == kMostListed) break;
    out +=
        Line(told == 1 ? "processes" : "", fmt::format("pid {}, build {}, {}", NumberAt(process, "pid"),
                                                       TextAt(process, "build"), plugin.empty() ? "a tool" : plugin));
  }
  if (told > kMostListed) out += Line("", fmt::format("and {} more", NumberAt(status, "clients") - kMostListed));
  return out;
}

std::string CircuitText(const CircuitReading& circuit) {
  uint64_t bytes = 0;
  for (const HopReading& hop : circuit.hops) bytes = std::max(bytes, hop.sent_bytes + hop.received_bytes);
  return fmt::format("{:<12} {}  {}, {} old, {}.{}", RoleText(circuit.role), circuit.path, BytesText(bytes),
                     AgeText(circuit.age_ms), circuit.connection.substr(0, 8), circuit.epoch);
}

std::string CircuitsText(const Json& status, const Json& flows) {
  const Json& ends = ObjectAt(status, "ends");
  std::string out = Line("circuits", fmt::format("{} start here, {} end here, {} pass", NumberAt(ends, "source"),
                                                 NumberAt(ends, "destination"), NumberAt(ends, "relay")));
  auto reading = ParseReading(Dump(flows));
  if (!reading) return out;
  for (size_t i = 0; i < std::min(reading->circuits.size(), kMostListed); ++i) {
    out += Line("", CircuitText(reading->circuits[i]));
  }
  if (reading->circuits_total > kMostListed) {
    out += Line("", fmt::format("and {} more: nccl-relay top", reading->circuits_total - kMostListed));
  }
  return out;
}

// What is registered for relaying by RDMA; nothing where that is not done.
std::string RegisteredText(const Json& status) {
  const Json& slots = ObjectAt(status, "registered");
  const std::string why = TextAt(slots, "why_host");
  if (NumberAt(slots, "bytes") == 0 && why.empty() && TextAt(slots, "staging") != "gpu") return "";
  std::string out = BytesText(NumberAt(slots, "bytes")) + " of " + BytesText(NumberAt(slots, "limit"));
  out += " for relaying by RDMA, in " + TextAt(slots, "staging") + " memory";
  if (const uint64_t huge = NumberAt(slots, "huge"); huge > 0) out += ", " + BytesText(huge) + " in huge pages";
  if (const uint64_t gpu = NumberAt(slots, "gpu"); gpu > 0) out += ", " + BytesText(gpu) + " on the GPU";
  out = Line("registered", out);
  return why.empty() ? out : out + Line("", "  not on the GPU: " + why);
}

std::string CountersText(const Json& status) {
  std::string out;
  for (const auto& [name, value] : ObjectAt(status, "counters").items()) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() == 0) continue;
    std::string words = name;
    std::replace(words.begin(), words.end(), '_', ' ');
    out += Line(out.empty() ? "counters" : "", fmt::format("{:<30} {}", words, value.get<uint64_t>()));
  }
  return out;
}

}  // namespace

std::string StatusText(const Json& status, const Json& flows) {
  std::string out = Line("node", TextAt(status, "name") + ", id " + TextAt(status, "node"));
  out += Line("agent", AgentText(status));
  std::string sockets;
  for (const Json& name : ListAt(status, "sockets")) {
    if (name.is_string()) sockets += (sockets.empty() ? "" : " and ") + name.get<std::string>();
  }
  out += Line("listens", fmt::format("port {}, control socket {}", NumberAt(status, "port"), sockets));
  out += Line("fabric", FabricText(status));
  bool first = true;
  for (const Json& port : ListAt(status, "ports")) {
    out += Line(first ? "ports" : "", PortText(port));
    first = false;
    if (const std::string why = TextAt(port, "why_tcp"); !why.empty()) out += Line("", "  " + why);
  }
  out += ProcessesText(status) + CircuitsText(status, flows);
  if (const uint64_t half_open = NumberAt(status, "half_open"); half_open > 0) {
    out += Line("", fmt::format("{} being set up", half_open));
  }
  const Json& limits = ObjectAt(status, "limits");
  out += Line("descriptors",
              fmt::format("{} of {} in use", NumberAt(limits, "descriptors_used"), NumberAt(limits, "descriptors")));
  out += RegisteredText(status) + CountersText(status);
  return out;
}

}  // namespace relay::view
