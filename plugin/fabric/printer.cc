// A fabric written as a declaration: one line per port and link, so that two of them can be compared by eye and diff.
#include <cstdio>

#include "fabric/link_facts.h"
#include "relay/fabric.h"

namespace relay::fabric {
namespace {

std::string Quote(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string PrintPort(const Port& port) {
  std::string out = "{\"name\": " + Quote(port.name) + ", \"addresses\": [";
  for (size_t i = 0; i < port.addresses.size(); ++i) out += (i ? ", " : "") + Quote(port.addresses[i].HostText());
  out += "]";
  if (port.speed_mbit != 0) out += ", \"speed\": " + std::to_string(port.speed_mbit);
  if (port.kind == PortKind::kRdma) out += ", \"kind\": \"rdma\"";
  if (port.infiniband) out += ", \"link_layer\": \"infiniband\"";
  if (port.last_resort) out += ", \"last_resort\": true";
  return out + "}";
}

std::string PrintLink(const Fabric& fabric, const Link& link) {
  std::string out = "{\"ends\": [" + Quote(EndText(fabric, link.a)) + ", " + Quote(EndText(fabric, link.b)) + "]";
  if (link.speed_mbit != SpeedOfPorts(fabric, link)) out += ", \"speed\": " + std::to_string(link.speed_mbit);
  if (link.latency_us != 0) out += ", \"latency\": " + std::to_string(link.latency_us);
  if (link.routed) out += ", \"routed\": true";
  return out + "}";
}

}  // namespace

std::string PrintFabric(const Fabric& fabric) {
  std::string out = "{\n  \"version\": 1,\n";
  if (!fabric.name.empty()) out += "  \"name\": " + Quote(fabric.name) + ",\n";
  out += "  \"nodes\": [";
  for (size_t i = 0; i < fabric.nodes.size(); ++i) {
    const Node& node = fabric.nodes[i];
    out += std::string(i ? "," : "") + "\n    {\"name\": " + Quote(node.name) + ", \"ports\": [";
    for (size_t p = 0; p < node.ports.size(); ++p)
      out += std::string(p ? "," : "") + "\n      " + PrintPort(node.ports[p]);
    out += "]}";
  }
  out += "\n  ],\n  \"links\": [";
  for (size_t i = 0; i < fabric.links.size(); ++i) {
    out += std::string(i ? "," : "") + "\n    " + PrintLink(fabric, fabric.links[i]);
  }
  return out + (fabric.links.empty() ? "]\n}\n" : "\n  ]\n}\n");
}

}  // namespace relay::fabric
