#include "view/top_frame.h"

#include <fmt/format.h>

#include <algorithm>

#include "view/glyphs.h"
#include "view/json.h"
#include "view/quantity.h"

namespace relay::view {
namespace {

struct PortRow {
  const PortRate* rate;
  std::string neighbours;
  uint32_t speed_mbit = 0;
  double used = -1;  // part of the speed; below 0: unknown
};

std::vector<PortRow> PortRows(const TopView& view) {
  std::vector<PortRow> out;
  const auto self = std::find_if(view.fabric.nodes.begin(), view.fabric.nodes.end(),
                                 [&](const fabric::Node& node) { return node.name == view.self; });
  for (const PortRate& rate : view.rates.ports) {
    PortRow row{&rate, {}, 0, -1};
    for (const fabric::Link& link : view.fabric.links) {
      for (const auto& [near, far] : {std::pair(link.a, link.b), std::pair(link.b, link.a)}) {
        if (self == view.fabric.nodes.end() || &view.fabric.nodes[near.node] != &*self) continue;
        if (self->ports[near.port].name != rate.now.port) continue;
        const fabric::Node& node = view.fabric.nodes[far.node];
        row.neighbours += (row.neighbours.empty() ? "" : ",") + node.name + "/" + node.ports[far.port].name;
        row.speed_mbit = std::max(row.speed_mbit, link.speed_mbit);
      }
    }
    if (row.speed_mbit > 0) row.used = std::max(rate.in_bits_s, rate.out_bits_s) / (row.speed_mbit * 1e6);
    out.push_back(std::move(row));
  }
  std::stable_sort(out.begin(), out.end(), [](const PortRow& a, const PortRow& b) {
    return a.rate->in_bits_s + a.rate->out_bits_s > b.rate->in_bits_s + b.rate->out_bits_s;
  });
  return out;
}

// Cut at that many characters, the last of which then says so.
std::string Cut(const std::string& text, size_t width) {
  if (Width(text) <= width) return text;
  if (width == 0) return {};
  std::string out;
  size_t shown = 0;
  for (char c : text) {
    const bool begins = (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    if (begins && ++shown == width) break;
    out += c;
  }
  return out + "~";
}

struct Column {
  std::string title;
  bool right = false;
  std::vector<std::string> cells;
  size_t width() const {
    size_t out = title.size();
    for (const std::string& cell : cells) out = std::max(out, Width(cell));
    return out;
  }
};

// Column by column as wide as needed; the one named gives way to the screen.
std::vector<std::string> Table(std::vector<Column> columns, size_t flexible, size_t width) {
  size_t all = 2 * (columns.size() - 1);
  for (const Column& column : columns) all += column.width();
  const size_t wanted = columns[flexible].width();
  constexpr size_t kLeast = 8;
  const size_t given = all <= width ? wanted : wanted - std::min(wanted - std::min(wanted, kLeast), all - width);
  std::vector<std::string> out(columns.front().cells.size() + 1);
  for (size_t c = 0; c < columns.size(); ++c) {
    const Column& column = columns[c];
    const size_t room = c == flexible ? given : column.width();
    for (size_t i = 0; i < out.size(); ++i) {
      const std::string cell = Cut(i == 0 ? column.title : column.cells[i - 1], room);
      const std::string space(room - Width(cell), ' ');
      out[i] += (c == 0 ? "" : "  ") + (column.right ? space + cell : cell + space);
    }
  }
  for (std::string& line : out) line = Cut(line.substr(0, line.find_last_not_of(' ') + 1), width);
  return out;
}

std::string CountRateText(double per_second) { return per_second < 0.05 ? "0" : fmt::format("{:.3g}", per_second); }

std::vector<std::string> PortTable(const std::vector<PortRow>& rows, size_t width) {
  std::vector<Column> columns = {{"PORT", false, {}}, {"TO", false, {}},          {"SPEED", true, {}},
                                 {"IN", true, {}},    {"OUT", true, {}},          {"USED", true, {}},
                                 {"RTT", true, {}},   {"RETRANSMITS/s", true, {}}};
  for (const PortRow& row : rows) {
    const PortRate& rate = *row.rate;
    columns[0].cells.push_back(rate.now.port);
    columns[1].cells.push_back(row.neighbours.empty() ? "-" : row.neighbours);
    columns[2].cells.push_back(!rate.now.up ? "DOWN" : row.speed_mbit == 0 ? "-" : SpeedText(row.speed_mbit));
    columns[3].cells.push_back(RateText(rate.in_bits_s));
    columns[4].cells.push_back(RateText(rate.out_bits_s));
    columns[5].cells.push_back(row.used < 0 ? "-" : fmt::format("{:.0f} %", 100 * row.used));
    columns[6].cells.push_back(MicrosText(rate.rtt_us));
    columns[7].cells.push_back(CountRateText(rate.retransmits_s));
  }
  return Table(std::move(columns), 1, width);
}

double Retransmits(const CircuitRate& circuit) {
  double out = 0;
  for (const HopRate& hop : circuit.hops) out += hop.retransmits_s;
  return out;
}

uint64_t Rtt(const CircuitRate& circuit) {
  uint64_t out = 0;
  for (const HopRate& hop : circuit.hops) out = std::max(out, hop.now.rtt_us);
  return out;
}

std::vector<std::string> CircuitTable(const std::vector<CircuitRate>& circuits, size_t most, size_t width,
                                      Glyphs glyphs) {
  const bool unicode = glyphs == Glyphs::kUnicode;
  std::vector<Column> columns = {{"ROLE", false, {}}, {"PATH", false, {}},      {"FORWARD", true, {}},
                                 {"BACK", true, {}},  {"TOTAL", true, {}},      {"RTT", true, {}},
                                 {"AGE", true, {}},   {"CONNECTION", false, {}}};
  for (size_t i = 0; i < std::min(most, circuits.size()); ++i) {
    const CircuitRate& circuit = circuits[i];
    columns[0].cells.push_back(RoleText(circuit.now.role));
    columns[1].cells.push_back(circuit.now.path);
    columns[2].cells.push_back(RateText(circuit.forward_bits_s) + (unicode ? " →" : " >"));
    columns[3].cells.push_back(RateText(circuit.backward_bits_s) + (unicode ? " ←" : " <"));
    columns[4].cells.push_back(BytesText(circuit.forward_bytes + circuit.backward_bytes));
    columns[5].cells.push_back(MicrosText(Rtt(circuit)));
    columns[6].cells.push_back(AgeText(circuit.now.age_ms));
    columns[7].cells.push_back(fmt::format("{}.{}", circuit.now.connection.substr(0, 8), circuit.now.epoch));
  }
  return Table(std::move(columns), 1, width);
}

std::string Heading(const TopView& view) {
  size_t starting = 0, ending = 0;
  for (const CircuitRate& circuit : view.rates.circuits) {
    starting += circuit.now.role == Role::kSource;
    ending += circuit.now.role == Role::kDestination;
  }
  const size_t passing = view.rates.circuits.size() - starting - ending;
  std::string out = "nccl-relay top: node " + view.self;
  if (!view.fabric.name.empty()) out += " of " + view.fabric.name;
  out += fmt::format(", {}: {} start here, {} end here, {} pass", CountText(view.rates.circuits_total, "circuit"),
                     starting, ending, passing);
  if (view.rates.circuits_total > view.rates.circuits.size()) out += " (of those that the agent listed)";
  return out;
}

}  // namespace

std::vector<std::string> TopFrame(const TopView& view, const ScreenSize& size, Glyphs glyphs) {
  std::vector<std::string> out = {Cut(Heading(view), size.columns)};
  if (!view.complaint.empty()) out.push_back(Cut("!! " + view.complaint, size.columns));
  out.emplace_back();
  const auto append = [&out](std::vector<std::string> lines) {
    out.insert(out.end(), std::make_move_iterator(lines.begin()), std::make_move_iterator(lines.end()));
  };
  std::vector<PortRow> ports = PortRows(view);
  // Half of the screen for ports when there are many; circuits have what they leave.
  const size_t half = std::max<size_t>(size.rows / 2, 6);
  const size_t most_ports = ports.size() + out.size() + 1 > half ? half - std::min(half, out.size() + 2) : ports.size();
  const size_t hidden_ports = ports.size() - std::min(ports.size(), most_ports);
  ports.resize(ports.size() - hidden_ports);
  append(PortTable(ports, size.columns));
  if (hidden_ports > 0) out.push_back(Cut("and " + CountText(hidden_ports, "port") + " with less", size.columns));
  const auto& circuits = view.rates.circuits;
  if (circuits.empty()) {
    out.emplace_back();
    out.push_back(Cut("no circuit is open at this node", size.columns));
  } else if (out.size() + 3 < size.rows) {
    out.emplace_back();
    // The heading of the table, and the line that counts the rest.
    size_t room = size.rows - out.size() - 1;
    if (circuits.size() > room) --room;
    append(CircuitTable(circuits, room, size.columns, glyphs));
    if (circuits.size() > room) {
      out.push_back(Cut("and " + CountText(circuits.size() - room, "circuit") + " with less", size.columns));
    }
  }
  if (out.size() > size.rows) out.resize(size.rows);
  return out;
}

std::string TopJson(const TopView& view) {
  Json ports = Json::array(), circuits = Json::array();
  for (const PortRow& row : PortRows(view)) {
    const PortRate& rate = *row.rate;
    Json port = {{"port", rate.now.port},
                 {"to", row.neighbours},
                 {"up", rate.now.up},
                 {"speed_mbit", row.speed_mbit},
                 {"in_bits_s", rate.in_bits_s},
                 {"out_bits_s", rate.out_bits_s},
                 {"rtt_us", rate.rtt_us},
                 {"retransmits_s", rate.retransmits_s},
                 {"in_bytes", rate.now.received_bytes},
                 {"out_bytes", rate.now.sent_bytes}};
    port["used"] = row.used < 0 ? Json(nullptr) : Json(row.used);
    ports.push_back(std::move(port));
  }
  for (const CircuitRate& circuit : view.rates.circuits) {
    circuits.push_back({{"connection", circuit.now.connection},
                        {"epoch", circuit.now.epoch},
                        {"role", RoleText(circuit.now.role)},
                        {"path", circuit.now.path},
                        {"from", circuit.now.from},
                        {"to", circuit.now.to},
                        {"forward_bits_s", circuit.forward_bits_s},
                        {"backward_bits_s", circuit.backward_bits_s},
                        {"forward_bytes", circuit.forward_bytes},
                        {"backward_bytes", circuit.backward_bytes},
                        {"retransmits_s", Retransmits(circuit)},
                        {"rtt_us", Rtt(circuit)},
                        {"age_ms", circuit.now.age_ms}});
  }
  return Dump({{"node", view.self},
               {"ports", std::move(ports)},
               {"circuits_total", view.rates.circuits_total},
               {"circuits", std::move(circuits)}});
}

}  // namespace relay::view
