#include "metrics/families.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string_view>

#include "relay/counters.h"
#include "view/reading.h"

namespace relay::metrics {
namespace {

using view::FlagAt;
using view::Json;
using view::ListAt;
using view::NumberAt;
using view::ObjectAt;
using view::TextAt;

// A port on a large LAN has many neighbours, and a label is no place for them all.
constexpr size_t kMostNeighbours = 4;
constexpr size_t kMostPorts = 256;

using Labels = std::vector<std::pair<std::string, std::string>>;

std::string NeighboursText(const Json& port) {
  const Json& neighbours = ListAt(port, "neighbours");
  if (neighbours.size() > kMostNeighbours) return fmt::format("{} nodes", neighbours.size());
  std::string out;
  for (const Json& neighbour : neighbours) out += (out.empty() ? "" : ",") + TextAt(neighbour, "node");
  return out;
}

class Collector {
 public:
  Collector(const Json& status, const Json& flows) : status_(status), flows_(flows), node_(TextAt(status, "name")) {}

  std::vector<Family> Collect() {
    Node();
    Fabric();
    Work();
    Ports();
    CountersOfTable();
    return std::move(out_);
  }

 private:
  Labels With(Labels labels) const {
    labels.insert(labels.begin(), {"node", node_});
    return labels;
  }
  Family& Add(const std::string& name, const std::string& help, Kind kind = Kind::kGauge) {
    out_.push_back({"nccl_relay_" + name, help, kind, {}});
    return out_.back();
  }
  void One(const std::string& name, const std::string& help, double value) {
    Add(name, help).samples.push_back({With({}), value});
  }
  static double Of(const Json& object, const char* key) { return static_cast<double>(NumberAt(object, key)); }

  void Node() {
    Add("build_info", "Always 1; the version of the agent as a label.")
        .samples.push_back({With({{"version", TextAt(status_, "build")}}), 1});
    One("uptime_seconds", "How long the agent has been running.", Of(status_, "uptime_s"));
    One("draining", "1 while the agent refuses new circuits because it is to end.", FlagAt(status_, "draining"));
    One("keyed", "1 where agents must prove that they hold the fabric's key.", FlagAt(status_, "key"));
  }

  void Fabric() {
    const Json& fabric = ObjectAt(status_, "fabric");
    One("fabric_nodes", "Nodes of the fabric as this agent knows it.", Of(fabric, "nodes"));
    One("fabric_links", "Links of the fabric as this agent knows it.", Of(fabric, "links"));
    One("fabric_declared", "1 when the fabric is declared in a file, 0 when it is discovered.",
        FlagAt(fabric, "declared"));
    One("fabric_settled_seconds", "How long the fabric has been without a change; 0 where it is declared.",
        Of(fabric, "settled_s"));
    // A sample is a double, which holds 48 bits of the hash exactly.
    const uint64_t hash = std::strtoull(TextAt(status_, "agreement").c_str(), nullptr, 16);
    One("fabric_agreement", "The agreement hash, its lower 48 bits: nodes that hold the same fabric have the same.",
        static_cast<double>(hash & 0xffffffffffff));
  }

  void Work() {
    const Json &ends = ObjectAt(status_, "ends"), &limits = ObjectAt(status_, "limits");
    One("clients", "Processes on the agent's control socket.", Of(status_, "clients"));
    One("tokens", "Receiving ends that circuits may be opened to.", Of(status_, "tokens"));
    Family& circuits =
        Add("circuits", "Open circuits that start here (source), end here (destination) or pass (relay).");
    for (const char* role : {"source", "destination", "relay"}) {
      circuits.samples.push_back({With({{"role", role}}), Of(ends, role)});
    }
    One("half_open_circuits", "Circuits that are being set up.", Of(status_, "half_open"));
    One("descriptors_used", "File descriptors that the agent's work holds.", Of(limits, "descriptors_used"));
    One("descriptors_limit", "File descriptors that the agent's work may hold.", Of(limits, "descriptors"));
    const Json& slots = ObjectAt(status_, "registered");
    Family& registered = Add("registered_bytes", "Memory registered for relaying by RDMA, by what it lies in.");
    for (const char* memory : {"host", "huge", "gpu"}) {
      registered.samples.push_back({With({{"memory", memory}}), Of(slots, memory)});
    }
    One("registered_limit_bytes", "Memory that may be registered for relaying by RDMA.", Of(slots, "limit"));
  }

  struct PortFact {
    const char *name, *help, *key;
  };

  void Ports() {
    std::map<std::string, Labels> labels;
    Family up{"nccl_relay_port_up", "1 when the port has a carrier.", Kind::kGauge, {}};
    Family speed{"nccl_relay_port_speed_bytes_per_second", "What the port can carry each way.", Kind::kGauge, {}};
    for (const Json& port : ListAt(status_, "ports")) {
      const std::string name = TextAt(port, "port");
      if (labels.size() == kMostPorts || labels.contains(name)) continue;
      labels[name] = With({{"port", name}, {"neighbour", NeighboursText(port)}});
      up.samples.push_back({labels[name], FlagAt(port, "up") ? 1.0 : 0.0});
      if (const double mbit = Of(port, "speed_mbit"); mbit > 0) speed.samples.push_back({labels[name], mbit * 125000});
    }
    out_.push_back(std::move(up));
    out_.push_back(std::move(speed));
    constexpr PortFact kFacts[] = {
        {"port_received_bytes_total", "Bytes that the port's interface received, whatever they were.",
         "received_bytes"},
        {"port_sent_bytes_total", "Bytes that the port's interface sent, whatever they were.", "sent_bytes"},
        {"port_errors_total", "Errors that the port's interface counts, both ways.", "errors"},
        {"port_drops_total", "Packets that the port's interface dropped, both ways.", "drops"}};
    for (const PortFact& fact : kFacts) {
      Family& family = Add(fact.name, fact.help, Kind::kCounter);
      for (const Json& port : ListAt(flows_, "ports")) {
        const auto known = labels.find(TextAt(port, "port"));
        if (known != labels.end() && port.contains(fact.key)) {
          family.samples.push_back({known->second, Of(port, fact.key)});
        }
      }
    }
    RoundTrips(labels);
  }

  void RoundTrips(const std::map<std::string, Labels>& labels) {
    std::map<std::string, uint64_t> largest;
    for (const Json& circuit : ListAt(flows_, "circuits")) {
      for (const Json& hop : ListAt(circuit, "hops")) {
        uint64_t& rtt = largest[TextAt(hop, "port")];
        rtt = std::max(rtt, NumberAt(hop, "rtt_us"));
      }
    }
    Family& family = Add("port_rtt_seconds", "The largest round trip that TCP measures for the circuits on the port.");
    for (const auto& [port, rtt] : largest) {
      const auto known = labels.find(port);
      if (known != labels.end() && rtt > 0) family.samples.push_back({known->second, static_cast<double>(rtt) / 1e6});
    }
  }

  void CountersOfTable() {
    struct Row {
      const char *name, *help;
    };
    constexpr Row kRows[] = {
#define C(field, help) {#field, help},
        RELAY_COUNTERS(C)
#undef C
    };
    const Json& counters = ObjectAt(status_, "counters");
    for (const Row& row : kRows) {
      if (!counters.contains(row.name)) continue;
      Add(std::string(row.name) + "_total", std::string("Since the agent's start: ") + row.help + ".", Kind::kCounter)
          .samples.push_back({With({}), Of(counters, row.name)});
    }
  }

  const Json &status_, &flows_;
  const std::string node_;
  std::vector<Family> out_;
};

}  // namespace

std::vector<Family> FamiliesOf(const Json& status, const Json& flows) { return Collector(status, flows).Collect(); }

}  // namespace relay::metrics
