// fabric.json read and checked. The schema and its rules: docs/fabric.md.
#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <string>
#include <unordered_map>

#include "fabric/hash.h"
#include "fabric/json_tree.h"
#include "fabric/link_facts.h"
#include "fabric/names.h"
#include "fabric/record.h"
#include "fabric/spelling.h"
#include "relay/fabric.h"

namespace relay::fabric {
namespace {

constexpr size_t kMaxLinks = kMaxFabricNodes * kMaxPorts / 2;

std::string Quoted(std::string_view text) {
  constexpr size_t kEnough = 80;
  return "\"" + std::string(text.substr(0, kEnough)) + (text.size() > kEnough ? "..." : "") + "\"";
}

using Keys = std::span<const std::string_view>;

// Reads one tree into one fabric; each function checks what it takes.
class Reader {
 public:
  explicit Reader(std::string_view file_name) : file_(file_name) {}

  Result<Fabric> Read(const JsonValue& root) {
    RELAY_TRY(CheckObject(root, "the fabric", std::array<std::string_view, 4>{"version", "name", "nodes", "links"}));
    RELAY_TRY(ReadVersion(root));
    if (const JsonValue* name = Find(root, "name")) RELAY_TRY(ReadName(*name, "the fabric's name", fabric_.name));
    const JsonValue* nodes = Find(root, "nodes");
    if (!nodes) return Complain(root, "\"nodes\" is missing");
    RELAY_TRY(CheckArray(*nodes, "\"nodes\"", kMaxFabricNodes));
    if (nodes->children.empty()) return Complain(*nodes, "a fabric has at least one node");
    for (const JsonValue& node : nodes->children) RELAY_TRY(ReadNode(node));
    if (const JsonValue* links = Find(root, "links")) {
      RELAY_TRY(CheckArray(*links, "\"links\"", kMaxLinks));
      for (const JsonValue& link : links->children) RELAY_TRY(ReadLink(link));
    }
    return std::move(fabric_);
  }

 private:
  struct PortEntry {
    LinkEnd end;
    int line = 0;
  };

  tl::unexpected<Error> Complain(const JsonValue& at, const std::string& reason) const {
    return FailAt(file_, at.line, reason);
  }

  static const JsonValue* Find(const JsonValue& object, std::string_view key) {
    for (const JsonValue& member : object.children) {
      if (member.key == key) return &member;
    }
    return nullptr;
  }

  Status CheckKind(const JsonValue& value, JsonKind kind, const std::string& what) const {
    if (value.kind == kind) return {};
    return Complain(value, what + " must be " + KindText(kind) + ", not " + KindText(value.kind));
  }
  Status CheckArray(const JsonValue& value, const std::string& what, size_t most) const {
    RELAY_TRY(CheckKind(value, JsonKind::kArray, what));
    if (value.children.size() <= most) return {};
    return Complain(value, what + " holds " + std::to_string(value.children.size()) +
                               " entries, more than the limit of " + std::to_string(most));
  }
  Status CheckObject(const JsonValue& value, const std::string& what, Keys known) const {
    RELAY_TRY(CheckKind(value, JsonKind::kObject, what));
    for (const JsonValue& member : value.children) {
      if (std::find(known.begin(), known.end(), member.key) == known.end()) {
        return FailAt(file_, member.key_line,
                      "unknown key " + Quoted(member.key) + " in " + what + DidYouMean(member.key, known));
      }
    }
    return {};
  }

  Status ReadVersion(const JsonValue& root) const {
    const JsonValue* version = Find(root, "version");
    if (!version) return Complain(root, "\"version\" is missing; this build reads version 1");
    RELAY_TRY(CheckKind(*version, JsonKind::kInteger, "\"version\""));
    if (version->integer == 1) return {};
    return Complain(*version,
                    "version " + std::to_string(version->integer) + " is unknown; this build reads version 1");
  }
  Status ReadName(const JsonValue& value, const std::string& what, std::string& out) const {
    RELAY_TRY(CheckKind(value, JsonKind::kString, what));
    if (!IsName(value.text)) {
      return Complain(value, what + " " + Quoted(value.text) + " is not 1 to " + std::to_string(kMaxNameBytes) +
                                 " of the characters A-Z a-z 0-9 . _ -");
    }
    out = value.text;
    return {};
  }
  Status ReadNumber(const JsonValue& value, const std::string& what, uint32_t& out) const {
    RELAY_TRY(CheckKind(value, JsonKind::kInteger, what));
    if (value.integer > std::numeric_limits<uint32_t>::max()) {
      return Complain(value, what + " " + std::to_string(value.integer) + " is more than 4294967295");
    }
    out = static_cast<uint32_t>(value.integer);
    return {};
  }

  Status ReadBoolean(const JsonValue& value, const std::string& what, bool& out) const {
    RELAY_TRY(CheckKind(value, JsonKind::kBoolean, "\"" + what + "\""));
    out = value.boolean;
    return {};
  }

  Status ReadNode(const JsonValue& value) {
    RELAY_TRY(CheckObject(value, "a node", std::array<std::string_view, 2>{"name", "ports"}));
    const JsonValue* name = Find(value, "name");
    if (!name) return Complain(value, "a node has no \"name\"");
    Node node;
    RELAY_TRY(ReadName(*name, "the node's name", node.name));
    node.id = HashName(node.name);
    if (const auto [known, fresh] = lines_of_nodes_.try_emplace(node.id, name->line); !fresh) {
      return Complain(*name,
                      "node " + node.name + " is declared twice, first on line " + std::to_string(known->second));
    }
    if (const JsonValue* ports = Find(value, "ports")) {
      RELAY_TRY(CheckArray(*ports, "\"ports\" of node " + node.name, kMaxPorts));
      for (const JsonValue& port : ports->children) RELAY_TRY(ReadPort(port, node));
    }
    fabric_.nodes.push_back(std::move(node));
    return {};
  }

  Status ReadPort(const JsonValue& value, Node& node) {
    RELAY_TRY(CheckObject(
        value, "a port",
        std::array<std::string_view, 6>{"name", "addresses", "speed", "kind", "link_layer", "last_resort"}));
    const JsonValue* name = Find(value, "name");
    if (!name) return Complain(value, "a port of node " + node.name + " has no \"name\"");
    Port port;
    RELAY_TRY(ReadName(*name, "the name of a port of node " + node.name, port.name));
    const std::string label = node.name + "/" + port.name;
    const PortEntry entry{{fabric_.nodes.size(), node.ports.size()}, name->line};
    if (const auto [known, fresh] = ports_.try_emplace(label, entry); !fresh) {
      return Complain(*name,
                      "port " + label + " is declared twice, first on line " + std::to_string(known->second.line));
    }
    const JsonValue* addresses = Find(value, "addresses");
    if (!addresses) return Complain(value, "port " + label + " has no \"addresses\"");
    RELAY_TRY(ReadAddresses(*addresses, label, port));
    if (const JsonValue* speed = Find(value, "speed")) RELAY_TRY(ReadNumber(*speed, "the speed", port.speed_mbit));
    if (const JsonValue* kind = Find(value, "kind")) RELAY_TRY(ReadKind(*kind, port.kind));
    if (const JsonValue* layer = Find(value, "link_layer")) RELAY_TRY(ReadLinkLayer(*layer, label, port));
    if (const JsonValue* last = Find(value, "last_resort"))
      RELAY_TRY(ReadBoolean(*last, "last_resort", port.last_resort));
    node.ports.push_back(std::move(port));
    return {};
  }

  Status ReadAddresses(const JsonValue& value, const std::string& label, Port& port) const {
    RELAY_TRY(CheckArray(value, "\"addresses\" of port " + label, kMaxPortAddresses));
    if (value.children.empty()) return Complain(value, "port " + label + " needs at least one address");
    for (const JsonValue& entry : value.children) {
      RELAY_TRY(CheckKind(entry, JsonKind::kString, "an address"));
      // An interface after % would be looked up on the machine that reads, and the port's name says it already.
      const auto address = entry.text.find('%') == std::string::npos ? SocketAddress::Parse(entry.text) : std::nullopt;
      if (!address) {
        return Complain(entry,
                        Quoted(entry.text) + " of port " + label +
                            " is not an address: write it like 10.0.0.1 or fe80::1, without prefix or interface");
      }
      for (const SocketAddress& known : port.addresses) {
        if (known.SameHost(*address))
          return Complain(entry, Quoted(entry.text) + " of port " + label + " is given twice");
      }
      port.addresses.push_back(*address);
    }
    return {};
  }

  Status ReadKind(const JsonValue& value, PortKind& out) const {
    RELAY_TRY(CheckKind(value, JsonKind::kString, "the kind"));
    if (value.text != "tcp" && value.text != "rdma") {
      return Complain(value, "kind " + Quoted(value.text) + " is neither \"tcp\" nor \"rdma\"");
    }
    out = value.text == "rdma" ? PortKind::kRdma : PortKind::kTcp;
    return {};
  }

  Status ReadLinkLayer(const JsonValue& value, const std::string& label, Port& port) const {
    RELAY_TRY(CheckKind(value, JsonKind::kString, "the link layer"));
    if (value.text != "ethernet" && value.text != "infiniband") {
      return Complain(value, "link layer " + Quoted(value.text) + " is neither \"ethernet\" nor \"infiniband\"");
    }
    if (port.kind != PortKind::kRdma) {
      return Complain(value, "port " + label + " has a link layer, but is not of kind \"rdma\"");
    }
    port.infiniband = value.text == "infiniband";
    return {};
  }

  Status ReadLink(const JsonValue& value) {
    RELAY_TRY(CheckObject(value, "a link", std::array<std::string_view, 4>{"ends", "speed", "latency", "routed"}));
    const JsonValue* ends = Find(value, "ends");
    if (!ends) return Complain(value, "a link has no \"ends\"");
    RELAY_TRY(CheckArray(*ends, "\"ends\"", 2));
    if (ends->children.size() != 2) return Complain(*ends, "a link has two ends, like [\"A/eth1\", \"B/eth1\"]");
    Link link;
    RELAY_TRY(ReadEnd(ends->children[0], link.a));
    RELAY_TRY(ReadEnd(ends->children[1], link.b));
    RELAY_TRY(CheckLink(*ends, link));
    link.speed_mbit = SpeedOfPorts(fabric_, link);
    link.kind = KindOfPorts(fabric_, link);
    if (const JsonValue* speed = Find(value, "speed")) RELAY_TRY(ReadNumber(*speed, "the speed", link.speed_mbit));
    if (const JsonValue* latency = Find(value, "latency"))
      RELAY_TRY(ReadNumber(*latency, "the latency", link.latency_us));
    if (const JsonValue* routed = Find(value, "routed")) RELAY_TRY(ReadBoolean(*routed, "routed", link.routed));
    link.last_resort = link.routed || PortAt(fabric_, link.a).last_resort || PortAt(fabric_, link.b).last_resort;
    fabric_.links.push_back(link);
    return {};
  }

  Status ReadEnd(const JsonValue& value, LinkEnd& out) const {
    RELAY_TRY(CheckKind(value, JsonKind::kString, "an end of a link"));
    if (const auto port = ports_.find(value.text); port != ports_.end()) {
      out = port->second.end;
      return {};
    }
    const size_t slash = value.text.find('/');
    if (slash == std::string::npos) {
      return Complain(value, Quoted(value.text) + " is not an end of a link: write it like \"A/eth1\", node and port");
    }
    const std::string node_name = value.text.substr(0, slash);
    std::vector<std::string_view> names;
    const auto node = std::find_if(fabric_.nodes.begin(), fabric_.nodes.end(),
                                   [&](const Node& candidate) { return candidate.name == node_name; });
    if (node == fabric_.nodes.end()) {
      for (const Node& known : fabric_.nodes) names.push_back(known.name);
      return Complain(value, "link to unknown node " + Quoted(node_name) + DidYouMean(node_name, names));
    }
    for (const Port& known : node->ports) names.push_back(known.name);
    const std::string port_name = value.text.substr(slash + 1);
    return Complain(value, "node " + node_name + " has no port " + Quoted(port_name) + DidYouMean(port_name, names));
  }

  Status CheckLink(const JsonValue& ends, const Link& link) {
    const std::string a = EndText(fabric_, link.a), b = EndText(fabric_, link.b);
    if (link.a.node == link.b.node)
      return Complain(ends, "a link joins two nodes, but " + a + " and " + b + " are one");
    const auto key = std::minmax({std::pair(link.a.node, link.a.port), std::pair(link.b.node, link.b.port)});
    if (const auto [known, fresh] = lines_of_links_.try_emplace(key, ends.line); !fresh) {
      return Complain(
          ends, "the link " + a + " to " + b + " is declared twice, first on line " + std::to_string(known->second));
    }
    const Port &x = PortAt(fabric_, link.a), &y = PortAt(fabric_, link.b);
    if (CanSpeak(x, y)) return {};
    for (int family : {AF_INET, AF_INET6}) {
      if (const SocketAddress* shared = SharedAddress(x, y, family)) {
        return Complain(ends, a + " and " + b + " share the address " + shared->HostText() +
                                  " and have no other address family in common");
      }
    }
    return Complain(ends, a + " and " + b + " have no address family in common (IPv4 or IPv6)");
  }

  std::string_view file_;
  Fabric fabric_;
  std::unordered_map<std::string, PortEntry> ports_;  // "A/eth1"
  std::unordered_map<NodeId, int> lines_of_nodes_;
  std::map<std::pair<std::pair<size_t, size_t>, std::pair<size_t, size_t>>, int> lines_of_links_;
};

}  // namespace

Result<Fabric> ParseFabric(std::string_view json, std::string_view file_name) {
  const Result<JsonValue> root = ParseJson(json, file_name);
  RELAY_TRY(root);
  return Reader(file_name).Read(*root);
}

}  // namespace relay::fabric
