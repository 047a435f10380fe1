// What "nccl-relay status" shows of an agent, as JSON. The keys are documented in docs/operating.md.
#include <unistd.h>

#include "agent/agent.h"
#include "agent/common/json_text.h"
#include "agent/node/refusal.h"

namespace relay::agent {
namespace {

// An answer is read by people and scrapers: beyond this many, lists end and only the number tells.
constexpr size_t kMostListed = 256;
constexpr size_t kMostPath = 256;

uint64_t SecondsBetween(TimePoint from, TimePoint to) {
  if (from == TimePoint{} || to < from) return 0;
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(to - from).count());
}

std::string CircuitJson(const RelayedCircuit& circuit) {
  const auto& facts = circuit.facts();
  JsonObject out;
  out.Text("connection", HashText(facts.name.connection));
  out.Number("epoch", facts.name.epoch).Text("path", std::string_view(facts.path).substr(0, kMostPath));
  out.Text("from", facts.from).Text("to", facts.to);
  out.Number("bytes_forward", circuit.bytes_forward()).Number("bytes_backward", circuit.bytes_backward());
  return out.Whole();
}

std::string CircuitsJson(const Relay& relay) {
  JsonArray out;
  size_t told = 0;
  for (const auto& [id, circuit] : relay.circuits()) {
    if (told++ == kMostListed) break;
    out.Add(CircuitJson(*circuit));
  }
  return out.Whole();
}

std::string ProcessesJson(const ControlServer& clients) {
  JsonArray out;
  size_t told = 0;
  for (const auto& [id, session] : clients.sessions()) {
    if (told++ == kMostListed) break;
    const control::Hello& hello = session->hello();
    JsonObject process;
    process.Number("pid", static_cast<uint64_t>(session->pid())).Text("build", hello.build);
    out.Add(process.Text("plugin", hello.plugin).Whole());
  }
  return out.Whole();
}

const char* KindText(fabric::PortKind kind) { return kind == fabric::PortKind::kRdma ? "rdma" : "tcp"; }

// What an rdma port is made of, and why one that could be is not.
void VerbsJson(const PortVerbs& verbs, JsonObject& out) {
  if (verbs.port) {
    out.Text("device", verbs.port->device).Number("device_port", verbs.port->port);
    out.Text("link_layer", verbs.port->infiniband ? "infiniband" : "ethernet");
  } else if (!verbs.why_not.empty()) {
    out.Text("why_tcp", verbs.why_not);
  }
}

std::string NeighboursJson(const fabric::Fabric& fabric, const fabric::LinkEnd& near) {
  JsonArray out;
  for (const fabric::Link& link : fabric.links) {
    if (link.a != near && link.b != near) continue;
    const fabric::LinkEnd& far = link.a == near ? link.b : link.a;
    const fabric::Node& node = fabric.nodes[far.node];
    JsonObject neighbour;
    neighbour.Text("node", node.name).Text("port", node.ports[far.port].name);
    neighbour.Number("speed_mbit", link.speed_mbit).Number("latency_us", link.latency_us);
    neighbour.Text("kind", KindText(link.kind));
    out.Add(neighbour.Flag("routed", link.routed).Flag("last_resort", link.last_resort).Whole());
  }
  return out.Whole();
}

std::string PortsJson(const LocalNode& node) {
  JsonArray out;
  const auto& ports = node.node().ports;
  for (size_t i = 0; i < ports.size(); ++i) {
    const fabric::Port& port = ports[i];
    const std::string interface = i < node.interfaces.size() ? node.InterfaceOf(i) : port.name;
    const auto facts = ReadInterfaceFacts(interface);
    JsonArray addresses;
    for (const SocketAddress& address : port.addresses) addresses.Add(Quoted(address.HostText()));
    JsonObject told;
    told.Text("port", port.name).Text("interface", interface).Raw("addresses", addresses.Whole());
    told.Number("speed_mbit", port.speed_mbit);
    told.Text("kind", KindText(port.kind)).Flag("last_resort", port.last_resort);
    if (i < node.verbs.size()) VerbsJson(node.verbs[i], told);
    told.Flag("up", facts && facts->up).Raw("neighbours", NeighboursJson(node.fabric, {node.self, i}));
    out.Add(told.Whole());
  }
  return out.Whole();
}

std::string RegisteredJson(const SlotBudget& slots) {
  JsonObject out;
  out.Number("bytes", slots.used()).Number("limit", slots.limit());
  out.Number("host", slots.used(SlotKind::kHost)).Number("huge", slots.used(SlotKind::kHuge));
  out.Number("gpu", slots.used(SlotKind::kGpu)).Text("staging", slots.gpu() ? "gpu" : "host");
  if (!slots.why_host().empty()) out.Text("why_host", slots.why_host());
  return out.Whole();
}

std::string FabricJson(const LocalNode& node, TimePoint now) {
  JsonObject out;
  out.Text("name", node.fabric.name).Flag("declared", node.declared);
  out.Number("nodes", node.fabric.nodes.size()).Number("links", node.fabric.links.size());
  return out.Number("settled_s", SecondsBetween(node.settled, now)).Whole();
}

}  // namespace

std::string Agent::Status() const {
  const TimePoint now = loop_.clock().Now();
  const Flows::Totals flows = flows_.Count();
  JsonObject ends, limits, out;
  ends.Number("source", flows.source).Number("relay", flows.relay).Number("destination", flows.destination);
  limits.Number("descriptors", budget_.limit()).Number("descriptors_used", budget_.used());
  JsonArray sockets;
  for (const std::string& name : clients_.names()) sockets.Add(Quoted(name));
  out.Text("node", HashText(node_.node().id)).Text("name", node_.name()).Text("build", RELAY_VERSION);
  out.Text("agreement", HashText(node_.agreement)).Number("port", node_.port);
  out.Flag("auto", options_.auto_started).Flag("draining", node_.draining).Flag("key", options_.key != nullptr);
  out.Number("pid", static_cast<uint64_t>(getpid())).Number("uptime_s", SecondsBetween(flows_.since(), now));
  out.Raw("sockets", sockets.Whole()).Raw("fabric", FabricJson(node_, now)).Raw("ports", PortsJson(node_));
  out.Number("clients", clients_.size()).Raw("processes", ProcessesJson(clients_));
  out.Number("tokens", tokens_.size()).Number("half_open", circuits_.half_open()).Number("relayed", relay_.size());
  out.Raw("ends", ends.Whole()).Raw("circuits", CircuitsJson(relay_));
  out.Raw("counters", CountersJson(counters_)).Raw("limits", limits.Whole());
  out.Raw("registered", RegisteredJson(relay_.slots()));
  if (live_) out.Text("discovery", live_->Describe());
  return out.Whole();
}

}  // namespace relay::agent
