#include "view/svg.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <string_view>

#include "view/link_kind.h"
#include "view/quantity.h"
#include "view/scene.h"

namespace relay::view {
namespace {

using fabric::Fabric;

constexpr double kTitleHeight = 34, kFootLine = 18;

// Labels bring their own ground, so that text is read on any page; lines are grey enough for both.
constexpr char kStyle[] = R"(
  text { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 11px; fill: #1f2933; }
  .title { font-size: 14px; fill: #7b8794; }
  .foot { fill: #7b8794; }
  .node rect { fill: #2b5f8a; stroke: #9fb3c8; stroke-width: 1; }
  .node.self rect { stroke: #d9822b; stroke-width: 3; }
  .node text { font-size: 15px; font-weight: bold; fill: #ffffff; text-anchor: middle; }
  .segment rect { fill: #627d98; stroke: #9fb3c8; stroke-width: 1; }
  .segment text { font-size: 13px; fill: #ffffff; text-anchor: middle; }
  .link path { fill: none; stroke: #829ab1; }
  .link.last-resort path { stroke-dasharray: 7 5; }
  .link.down path { stroke: #d64545; }
  .label rect { fill: #f0f4f8; stroke: #bcccdc; stroke-width: 1; }
  .label text { text-anchor: middle; }
  .label .flow { fill: #8d4e0b; font-weight: bold; }
  .label .warning { fill: #ab091e; font-weight: bold; }
  .arrow { fill: #d9822b; }
)";

std::string Escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (static_cast<unsigned char>(c) >= 0x20) {
      out += c;
    }
  }
  return out;
}

std::string RectSvg(const Box& box, double radius) {
  return fmt::format(R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="{:.0f}"/>)",
                     box.at.x - box.width / 2, box.at.y - box.height / 2, box.width, box.height, radius);
}

const char* ClassOf(const std::string& line) {
  if (line == "DOWN") return R"( class="warning")";
  return line.find("→") == std::string::npos ? "" : R"( class="flow")";
}

std::string LabelSvg(const Label& label) {
  std::string out = "    <g class=\"label\">" + RectSvg(label.box, 4);
  const double first = label.box.at.y - static_cast<double>(label.lines.size() - 1) * kLabelLine / 2 + 4;
  for (size_t i = 0; i < label.lines.size(); ++i) {
    out += fmt::format(R"(<text x="{:.1f}" y="{:.1f}"{}>{}</text>)", label.box.at.x,
                       first + static_cast<double>(i) * kLabelLine, ClassOf(label.lines[i]), Escaped(label.lines[i]));
  }
  return out + "</g>\n";
}

std::string ArrowSvg(const Curve& curve, double t, bool onward) {
  const Point at = curve.At(t);
  const double degrees = curve.DirectionAt(t) * 180 / std::numbers::pi + (onward ? 0 : 180);
  return fmt::format(
      "    <polygon class=\"arrow\" points=\"-7,-6 8,0 -7,6\" transform=\"translate({:.1f} {:.1f}) "
      "rotate({:.1f})\"/>\n",
      at.x, at.y, degrees);
}

std::string LinkSvg(const Fabric& fabric, const LinkDrawing& drawing, const LinkLoad* load) {
  const fabric::Link& link = fabric.links[drawing.link];
  const Curve& c = drawing.curve;
  std::string classes = "link";
  if (link.last_resort) classes += " last-resort";
  if (load != nullptr && load->down) classes += " down";
  const std::string why = WhyTcp(fabric, link);
  std::string out = fmt::format("  <g class=\"{}\">\n    <title>{}, {} {}{}</title>\n", classes,
                                Escaped(fabric::LinkText(fabric, drawing.link)), SpeedText(link.speed_mbit),
                                KindText(link.kind), Escaped(why.empty() ? why : ": " + why));
  out += fmt::format("    <path d=\"M{:.1f} {:.1f} Q{:.1f} {:.1f} {:.1f} {:.1f}\" stroke-width=\"{:.1f}\"/>\n",
                     c.from.x, c.from.y, c.control.x, c.control.y, c.to.x, c.to.y, drawing.thickness);
  if (drawing.arrow_to > 0) out += ArrowSvg(c, drawing.arrow_to, true);
  if (drawing.arrow_from > 0) out += ArrowSvg(c, drawing.arrow_from, false);
  return out + "  </g>\n";
}

std::string NodeSvg(const Box& box, const std::string& name, const char* kind) {
  const double radius = std::string_view(kind) == "segment" ? box.height / 2 : 8;
  return fmt::format("  <g class=\"{}\">{}<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text></g>\n", kind, RectSvg(box, radius),
                     box.at.x, box.at.y + 5, Escaped(name));
}

}  // namespace

std::string Svg(const Fabric& fabric, const FabricLoad* load, const std::string& self,
                const std::vector<std::string>& tcp_ports) {
  const Condensed condensed = Condense(fabric, load);
  const Scene scene = Compose(condensed);
  std::string title = (fabric.name.empty() ? "fabric" : "fabric " + fabric.name) + ": " +
                      CountText(fabric.nodes.size(), "node") + ", " + CountText(fabric.links.size(), "link");
  double width = std::max(scene.width, static_cast<double>(title.size()) * 9 + 40);
  std::vector<std::string> foot;
  for (const std::string& port : tcp_ports) {
    foot.push_back(self + "/" + port);
    width = std::max(width, static_cast<double>(foot.back().size()) * kLabelChar + 40);
  }
  const double height = scene.height + kTitleHeight + static_cast<double>(foot.size()) * kFootLine;
  std::string out = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" "
      "width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} {1:.0f}\">\n",
      width, height);
  out += "<title>" + Escaped(title) + "</title>\n<style>" + kStyle + "</style>\n";
  out += fmt::format("<text class=\"title\" x=\"20\" y=\"24\">{}</text>\n", Escaped(title));
  out += fmt::format("<g transform=\"translate({:.1f} {:.0f})\">\n", (width - scene.width) / 2, kTitleHeight);
  // All lines below all boxes below all labels.
  for (const LinkDrawing& link : scene.links) {
    out += LinkSvg(condensed.fabric, link, condensed.load ? &condensed.load->links[link.link] : nullptr);
  }
  for (size_t i = 0; i < scene.nodes.size(); ++i) {
    const std::string& name = condensed.fabric.nodes[i].name;
    out += NodeSvg(scene.nodes[i], name, condensed.IsSegment(i) ? "segment" : name == self ? "node self" : "node");
  }
  for (const LinkDrawing& link : scene.links) {
    for (const Label* label : {&link.near, &link.far, &link.facts}) {
      if (!label->lines.empty()) out += LabelSvg(*label);
    }
  }
  out += "</g>\n";
  for (size_t i = 0; i < foot.size(); ++i) {
    const double below = static_cast<double>(foot.size() - i) * kFootLine;
    out += fmt::format("<text class=\"foot\" x=\"20\" y=\"{:.0f}\">{}</text>\n", height - below, Escaped(foot[i]));
  }
  return out + "</svg>\n";
}

}  // namespace relay::view
