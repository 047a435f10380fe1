#include "agent/flows/flows.h"

#include <algorithm>
#include <vector>

#include "agent/common/json_text.h"
#include "agent/node/refusal.h"

namespace relay::agent {
namespace {

std::string HopJson(const FlowHop& hop) {
  JsonObject out;
  out.Text("neighbour", hop.neighbour).Text("port", hop.port).Text("interface", hop.socket.interface);
  out.Text("local", hop.socket.local.ToText()).Text("remote", hop.socket.remote.ToText());
  if (!hop.told) return out.Whole();
  const SocketFacts& facts = hop.facts;
  out.Number("sent_bytes", facts.sent_bytes).Number("received_bytes", facts.received_bytes);
  out.Number("retransmits", facts.retransmits).Number("rtt_us", facts.rtt_us);
  out.Number("delivery_bytes_s", facts.delivery_bytes_s).Number("unsent_bytes", facts.unsent_bytes);
  return out.Whole();
}

std::string FlowJson(const Flow& flow, TimePoint now) {
  JsonArray hops;
  for (const FlowHop& hop : flow.hops) {
    if (!hop.gone) hops.Add(HopJson(hop));
  }
  const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(now - flow.opened);
  JsonObject out;
  out.Text("connection", HashText(flow.name.connection));
  out.Number("epoch", flow.name.epoch).Text("role", RoleText(flow.role)).Text("path", flow.path);
  out.Text("from", flow.from).Text("to", flow.to).Number("age_ms", static_cast<uint64_t>(age.count()));
  out.Raw("hops", hops.Whole());
  return out.Whole();
}

std::string PortJson(const Flows::NodePort& port) {
  JsonObject out;
  out.Text("port", port.name).Text("interface", port.interface);
  const auto facts = ReadInterfaceFacts(port.interface);
  out.Flag("up", facts && facts->up);
  if (!facts) return out.Whole();
  out.Number("received_bytes", facts->received_bytes).Number("sent_bytes", facts->sent_bytes);
  out.Number("received_packets", facts->received_packets).Number("sent_packets", facts->sent_packets);
  out.Number("errors", facts->errors).Number("drops", facts->drops);
  return out.Whole();
}

}  // namespace

void Flows::Opened(const CircuitName& name, FlowRole role, const std::string& path,
                   std::initializer_list<int> sockets) {
  FlowTable::Opening opening{name, role, path, {}};
  for (int fd : sockets) {
    if (auto socket = Identify(fd)) opening.sockets.push_back(std::move(*socket));
  }
  if (table_.due()) Refresh();
  table_.Opened(std::move(opening), clock_.Now());
}

void Flows::Refresh() const {
  table_.Refresh([this](const TcpSocket& socket) { return sockets_.Look(socket); });
}

Flows::Totals Flows::Count() const {
  Refresh();
  Totals out;
  for (const Flow& flow : table_.flows()) {
    if (flow.role == FlowRole::kSource) ++out.source;
    if (flow.role == FlowRole::kRelay) ++out.relay;
    if (flow.role == FlowRole::kDestination) ++out.destination;
  }
  return out;
}

std::string Flows::Json(const Whose& whose, size_t most_bytes) const {
  Refresh();
  const TimePoint now = clock_.Now();
  JsonArray ports;
  for (const NodePort& port : whose.ports) {
    if (ports.size() < most_bytes / 2) ports.Add(PortJson(port));
  }
  std::vector<const Flow*> busiest;
  for (const Flow& flow : table_.flows()) busiest.push_back(&flow);
  std::stable_sort(busiest.begin(), busiest.end(),
                   [](const Flow* a, const Flow* b) { return a->bytes() > b->bytes(); });
  // What stands around the two lists is shorter than this.
  constexpr size_t kFrame = 512;
  JsonArray circuits;
  for (const Flow* flow : busiest) {
    const std::string json = FlowJson(*flow, now);
    if (kFrame + ports.size() + circuits.size() + json.size() > most_bytes) break;
    circuits.Add(json);
  }
  JsonObject out;
  out.Text("node", HashText(whose.node)).Text("name", whose.name);
  out.Number("monotonic_ns", static_cast<uint64_t>(now.time_since_epoch().count()));
  out.Raw("ports", ports.Whole()).Number("circuits_total", busiest.size()).Raw("circuits", circuits.Whole());
  return out.Whole();
}

}  // namespace relay::agent
