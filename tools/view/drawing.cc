#include "view/drawing.h"

#include <fmt/format.h>

#include <algorithm>

#include "fabric/link_facts.h"
#include "view/fabric_shape.h"
#include "view/link_kind.h"
#include "view/quantity.h"
#include "view/segments.h"

namespace relay::view {
namespace {

using fabric::Fabric;
using fabric::Link;
using fabric::LinkEnd;

struct Set {
  const char *line, *last_resort, *top, *home, *side, *down, *up, *to, *back;
};
constexpr Set kUnicodeSet = {"│", "┆", "╭> ", "╰──╯", "│  ", "↓", "↑", "→", "←"};
constexpr Set kAsciiSet = {"|", ":", ",> ", "'--'", "|  ", "v", "^", "->", "<-"};

// One link, as seen from one of its ends.
struct Row {
  std::string ports, speed, onward, back, notes;
  bool last_resort = false;
};

std::string Padded(const std::string& text, size_t width) {
  return text + std::string(width > Width(text) ? width - Width(text) : 0, ' ');
}

class Drawer {
 public:
  Drawer(const Fabric& fabric, const FabricLoad* load, const DrawingOptions& options)
      : links_(fabric.links.size()),
        condensed_(Condense(fabric, load)),
        fabric_(condensed_.fabric),
        load_(condensed_.load ? &*condensed_.load : nullptr),
        options_(options),
        set_(options.glyphs == Glyphs::kUnicode ? kUnicodeSet : kAsciiSet) {}

  std::string Draw() {
    const Order order = OrderOf(WithoutSegments(condensed_));
    std::string out = Title(order.shape) + "\n\n";
    if (order.shape == FabricShape::kOther) {
      out += DrawLists(order.nodes);
    } else {
      out += DrawLine(order);
    }
    return out + DrawSegments() + DrawTcpPorts() + DrawPaths();
  }

 private:
  std::string Title(FabricShape shape) const {
    std::string out = fabric_.name.empty() ? "fabric" : "fabric " + fabric_.name;
    out += ": " + CountText(condensed_.real_nodes, "node") + ", " + CountText(links_, "link");
    if (condensed_.real_nodes > 1 && shape == FabricShape::kChain) out += ", a chain";
    if (shape == FabricShape::kRing) out += ", a ring";
    return out;
  }

  std::string NodeText(size_t node) const {
    const std::string& name = fabric_.nodes[node].name;
    std::string out = name;
    if (name == options_.self) out += "  (this node)";
    if (load_ != nullptr && std::find(load_->silent.begin(), load_->silent.end(), name) != load_->silent.end()) {
      out += "  (did not say what flows)";
    }
    return out;
  }

  enum class Naming : bool { kPorts, kFarNode };

  Row RowOf(size_t link_index, size_t from, Naming naming) const {
    const Link& link = fabric_.links[link_index];
    const bool forward = link.a.node == from;
    const LinkEnd &near = forward ? link.a : link.b, &far = forward ? link.b : link.a;
    const auto port = [this](const LinkEnd& end) { return fabric_.nodes[end.node].ports[end.port].name; };
    Row row;
    row.ports =
        port(near) + " -- " + (naming == Naming::kFarNode ? fabric_.nodes[far.node].name + "/" : "") + port(far);
    row.speed = SpeedText(link.speed_mbit) + " " + KindText(link.kind);
    row.last_resort = link.last_resort;
    const auto note = [&row](const std::string& text) { row.notes += (row.notes.empty() ? "" : ", ") + text; };
    const LinkLoad* load = load_ == nullptr ? nullptr : &load_->links[link_index];
    if (load != nullptr && load->known) {
      const bool down = naming == Naming::kPorts;
      row.onward = fmt::format("{} {}", down ? set_.down : set_.to,
                               RateText(forward ? load->a_to_b_bits_s : load->b_to_a_bits_s));
      row.back = fmt::format("{} {}", down ? set_.up : set_.back,
                             RateText(forward ? load->b_to_a_bits_s : load->a_to_b_bits_s));
      if (load->circuits > 0) note(CountText(load->circuits, "circuit"));
      if (load->retransmits_s >= 0.5) note(fmt::format("{:.0f} retransmits/s", load->retransmits_s));
    }
    if (load != nullptr && load->down) note("DOWN");
    if (link.routed) note("routed");
    if (link.last_resort && !link.routed) note("last resort");
    if (link.kind == fabric::PortKind::kRdma && fabric::PortAt(fabric_, near).infiniband) note("InfiniBand");
    if (const std::string why = WhyTcp(fabric_, link); !why.empty()) note(why);
    return row;
  }

  // One below the other, in columns that the whole drawing shares.
  void Measure(const Row& row) {
    ports_ = std::max(ports_, Width(row.ports));
    speed_ = std::max(speed_, Width(row.speed));
    onward_ = std::max(onward_, Width(row.onward));
    back_ = std::max(back_, Width(row.back));
  }
  std::string RowText(const Row& row) const {
    std::string out = Padded(row.ports, ports_) + "  " + Padded(row.speed, speed_);
    if (onward_ > 0) out += "  " + Padded(row.onward, onward_) + "  " + Padded(row.back, back_);
    if (!row.notes.empty()) out += "  " + row.notes;
    return out.substr(0, out.find_last_not_of(' ') + 1);
  }
  std::string Mark(const Row& row) const { return row.last_resort ? set_.last_resort : set_.line; }

  struct Step {
    size_t from, to;
    std::vector<Row> rows;
  };

  Step StepOf(size_t from, size_t to) {
    Step step{from, to, {}};
    for (size_t link : LinksBetween(fabric_, from, to)) {
      step.rows.push_back(RowOf(link, from, Naming::kPorts));
      Measure(step.rows.back());
    }
    return step;
  }

  std::string DrawLine(const Order& order) {
    const bool ring = order.shape == FabricShape::kRing;
    std::vector<Step> steps;
    for (size_t i = 0; i + 1 < order.nodes.size(); ++i) steps.push_back(StepOf(order.nodes[i], order.nodes[i + 1]));
    Step home{order.nodes.back(), order.nodes.front(), {}};
    if (ring) home = StepOf(home.from, home.to);
    // Links of last resort beside a line that stands without them.
    std::string beside = BesideLine(order, ring);
    const std::string side = ring ? set_.side : "";
    std::string out = std::string("  ") + (ring ? set_.top : "") + NodeText(order.nodes.front()) + "\n";
    for (const Step& step : steps) {
      for (const Row& row : step.rows) out += "  " + side + Mark(row) + "  " + RowText(row) + "\n";
      out += "  " + side + NodeText(step.to) + "\n";
    }
    for (size_t i = 0; i < home.rows.size(); ++i) {
      const bool last = i + 1 == home.rows.size();
      out += "  " + (last ? set_.home : side + Mark(home.rows[i])) + "  " + RowText(home.rows[i]) +
             (last ? "  to " + fabric_.nodes[home.to].name : "") + "\n";
    }
    return out + beside;
  }

  std::string BesideLine(const Order& order, bool ring) {
    std::vector<size_t> place(condensed_.real_nodes);
    for (size_t i = 0; i < order.nodes.size(); ++i) place[order.nodes[i]] = i;
    std::vector<std::pair<std::string, Row>> rows;
    for (size_t i = 0; i < fabric_.links.size(); ++i) {
      const Link& link = fabric_.links[i];
      if (condensed_.IsSegment(link.b.node)) continue;
      const auto [low, high] = std::minmax(place[link.a.node], place[link.b.node]);
      if (high - low == 1 || (ring && low == 0 && high + 1 == order.nodes.size())) continue;
      const size_t from = order.nodes[low];
      rows.emplace_back(fabric_.nodes[from].name + " ", RowOf(i, from, Naming::kFarNode));
      rows.back().second.ports = fabric_.nodes[from].name + "/" + rows.back().second.ports;
      Measure(rows.back().second);
    }
    if (rows.empty()) return {};
    std::string out = "\n  besides:\n";
    for (const auto& [name, row] : rows) out += "  " + Mark(row) + "  " + RowText(row) + "\n";
    return out;
  }

  std::string DrawLists(const std::vector<size_t>& nodes) {
    std::vector<std::vector<Row>> rows(fabric_.nodes.size());
    std::vector<std::pair<std::string, size_t>> named;
    for (size_t node : nodes) {
      std::vector<std::pair<std::string, size_t>> links;
      for (size_t i = 0; i < fabric_.links.size(); ++i) {
        const Link& link = fabric_.links[i];
        if (condensed_.IsSegment(link.b.node) || (link.a.node != node && link.b.node != node)) continue;
        const LinkEnd& near = link.a.node == node ? link.a : link.b;
        links.emplace_back(fabric_.nodes[node].ports[near.port].name, i);
      }
      std::sort(links.begin(), links.end());
      for (const auto& [port, link] : links) {
        rows[node].push_back(RowOf(link, node, Naming::kFarNode));
        Measure(rows[node].back());
      }
    }
    std::string out;
    for (size_t node : nodes) {
      out += "  " + NodeText(node) + "\n";
      for (const Row& row : rows[node]) out += "  " + Mark(row) + "  " + RowText(row) + "\n";
      if (rows[node].empty() && !OnSegment(node)) out += "     no link\n";
    }
    return out;
  }

  bool OnSegment(size_t node) const {
    return std::any_of(fabric_.links.begin(), fabric_.links.end(),
                       [&](const Link& link) { return condensed_.IsSegment(link.b.node) && link.a.node == node; });
  }

  // Each with its ports, from which everything goes to all others.
  std::string DrawSegments() {
    std::string out;
    for (size_t segment = condensed_.real_nodes; segment < fabric_.nodes.size(); ++segment) {
      std::vector<Row> rows;
      ports_ = speed_ = onward_ = back_ = 0;
      for (size_t i = 0; i < fabric_.links.size(); ++i) {
        const Link& link = fabric_.links[i];
        if (link.b.node != segment) continue;
        rows.push_back(RowOf(i, link.a.node, Naming::kFarNode));
        const fabric::Node& node = fabric_.nodes[link.a.node];
        rows.back().ports = node.name + "/" + node.ports[link.a.port].name;
        rows.back().notes.clear();
        Measure(rows.back());
      }
      const bool last_resort = !rows.empty() && rows.front().last_resort;
      out += "\n  " + fabric_.nodes[segment].name + ", every port reaches every other" +
             (last_resort ? "; of last resort" : "") + "\n";
      for (const Row& row : rows) out += "  " + Mark(row) + "  " + RowText(row) + "\n";
    }
    return out;
  }

  std::string DrawTcpPorts() const {
    std::string out;
    for (const std::string& port : options_.tcp_ports) {
      out += (out.empty() ? "\ncould be rdma, but is tcp\n  " : "  ") + options_.self + "/" + port + "\n";
    }
    return out;
  }

  std::string DrawPaths() const {
    if (load_ == nullptr) return {};
    if (load_->paths.empty()) return "\nno circuit is open\n";
    std::string out = "\nfrom whom to whom\n";
    size_t path = 0;
    const size_t told = std::min(load_->paths.size(), options_.most_paths);
    for (size_t i = 0; i < told; ++i) path = std::max(path, Width(load_->paths[i].path));
    for (size_t i = 0; i < told; ++i) {
      const PathLoad& load = load_->paths[i];
      out += fmt::format("  {}  {}  {} {}  {} {}\n", Padded(load.path, path),
                         Padded(CountText(load.circuits, "circuit"), 11), set_.to,
                         Padded(RateText(load.forward_bits_s), 10), set_.back, RateText(load.backward_bits_s));
    }
    if (told < load_->paths.size()) out += "  and " + CountText(load_->paths.size() - told, "more path") + "\n";
    return out;
  }

  const size_t links_;
  const Condensed condensed_;
  const Fabric& fabric_;
  const FabricLoad* load_;
  const DrawingOptions& options_;
  const Set& set_;
  size_t ports_ = 0, speed_ = 0, onward_ = 0, back_ = 0;
};

}  // namespace

std::string Draw(const Fabric& fabric, const FabricLoad* load, const DrawingOptions& options) {
  return Drawer(fabric, load, options).Draw();
}

}  // namespace relay::view
