#include "view/scene.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "view/link_kind.h"
#include "view/quantity.h"

namespace relay::view {
namespace {

using fabric::Fabric;
using fabric::Link;

// One link is so long across and upright: labels are wider than high.
constexpr double kAcross = 330, kUpright = 180;
constexpr double kMargin = 30, kGap = 3;
constexpr double kTwinGap = 56;  // between curves of links of the same two nodes
constexpr std::array<double, 9> kBends = {0, 45, -45, 90, -90, 140, -140, 200, -200};
constexpr double kClearance = 36;  // between a link and a node that it passes
constexpr int kGrowths = 9;
constexpr double kGrowth = 1.12;
constexpr int kSamples = 48;  // of a curve, to find what it crosses

Label LabelOf(std::vector<std::string> lines) {
  size_t longest = 0;
  for (const std::string& line : lines) {
    // "→" is one character in three bytes.
    longest = std::max(longest, static_cast<size_t>(std::count_if(line.begin(), line.end(), [](char c) {
                         return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
                       })));
  }
  Label out;
  out.box.width = static_cast<double>(longest) * kLabelChar + 10;
  out.box.height = static_cast<double>(lines.size()) * kLabelLine + 5;
  out.lines = std::move(lines);
  return out;
}

double ThicknessOf(uint32_t mbit) {
  if (mbit == 0) return 1.5;
  return std::clamp(1.5 + 1.3 * std::log10(static_cast<double>(mbit) / 100), 1.2, 7.0);
}

class Composer {
 public:
  explicit Composer(const Condensed& condensed)
      : condensed_(condensed),
        fabric_(condensed.fabric),
        load_(condensed.load ? &*condensed.load : nullptr),
        places_(LayOut(condensed)) {}

  // Grows the page until everything has its place.
  Scene Compose() {
    Scene best;
    double factor = 1;
    for (int i = 0; i < kGrowths; ++i, factor *= kGrowth) {
      Scene scene = TryWith(factor);
      if (i == 0 || scene.overlaps < best.overlaps) best = std::move(scene);
      if (best.overlaps == 0) break;
    }
    Frame(best);
    return best;
  }

 private:
  Scene TryWith(double factor) {
    scene_ = {};
    for (size_t i = 0; i < fabric_.nodes.size(); ++i) {
      const double width = static_cast<double>(fabric_.nodes[i].name.size()) * kNodeChar + 24;
      scene_.nodes.push_back(
          {{places_[i].x * kAcross * factor, places_[i].y * kUpright * factor}, std::max(width, 44.0), 32});
    }
    for (size_t i = 0; i < scene_.nodes.size(); ++i) {
      for (size_t j = 0; j < i; ++j) scene_.overlaps += scene_.nodes[i].Overlaps(scene_.nodes[j], 24);
    }
    DrawCurves();
    taken_.clear();
    for (LinkDrawing& drawing : scene_.links) PlaceEnds(drawing);
    for (LinkDrawing& drawing : scene_.links) PlaceFacts(drawing);
    for (LinkDrawing& drawing : scene_.links) PlaceArrows(drawing);
    return std::move(scene_);
  }

  void DrawCurves() {
    std::map<std::pair<size_t, size_t>, std::vector<size_t>> twins;
    for (size_t i = 0; i < fabric_.links.size(); ++i) {
      const Link& link = fabric_.links[i];
      twins[std::minmax({link.a.node, link.b.node})].push_back(i);
    }
    scene_.links.resize(fabric_.links.size());
    for (const auto& [ends, links] : twins) {
      const double first = -kTwinGap * static_cast<double>(links.size() - 1) / 2;
      const double bend = links.size() > 1 ? 0 : FreeBend(ends.first, ends.second);
      for (size_t i = 0; i < links.size(); ++i) {
        const Link& link = fabric_.links[links[i]];
        LinkDrawing& drawing = scene_.links[links[i]];
        drawing.link = links[i];
        // Twins bend to the same sides whichever way round they are declared.
        const double sign = link.a.node == ends.first ? 1 : -1;
        const double offset = bend + first + kTwinGap * static_cast<double>(i);
        drawing.curve = CurveOf(link.a.node, link.b.node, sign * offset);
        drawing.thickness = ThicknessOf(link.speed_mbit);
        const auto end = [this](const fabric::LinkEnd& at) {
          const fabric::Node& node = fabric_.nodes[at.node];
          if (condensed_.IsSegment(at.node)) return Label{};
          return LabelOf({node.name + ":" + node.ports[at.port].name});
        };
        drawing.near = end(link.a);
        drawing.far = end(link.b);
        drawing.facts = LabelOf(FactsOf(links[i]));
      }
    }
  }

  std::vector<std::string> FactsOf(size_t index) const {
    const Link& link = fabric_.links[index];
    const bool spoke = condensed_.IsSegment(link.b.node);
    std::vector<std::string> lines = {SpeedText(link.speed_mbit) + " " + KindText(link.kind)};
    if (link.routed && !spoke) lines.push_back("routed");
    if (link.last_resort && !link.routed && !spoke) lines.push_back("last resort");
    const LinkLoad* load = LoadAt(index);
    if (load == nullptr) return lines;
    const std::string &a = fabric_.nodes[link.a.node].name, &b = fabric_.nodes[link.b.node].name;
    if (load->down) lines.push_back("DOWN");
    if (load->a_to_b_bits_s >= 0.5) lines.push_back(a + "→" + b + " " + RateText(load->a_to_b_bits_s));
    if (load->b_to_a_bits_s >= 0.5) lines.push_back(b + "→" + a + " " + RateText(load->b_to_a_bits_s));
    return lines;
  }

  const LinkLoad* LoadAt(size_t link) const {
    return load_ == nullptr || link >= load_->links.size() ? nullptr : &load_->links[link];
  }

  Curve CurveOf(size_t a, size_t b, double offset) const {
    const Point from = scene_.nodes[a].at, to = scene_.nodes[b].at;
    const double dx = to.x - from.x, dy = to.y - from.y, length = std::max(std::hypot(dx, dy), 1e-9);
    // The middle of such a curve is half way to its control point.
    return {from, {(from.x + to.x) / 2 - 2 * offset * dy / length, (from.y + to.y) / 2 + 2 * offset * dx / length}, to};
  }

  // So that the curve passes beside the other nodes and not behind them.
  double FreeBend(size_t a, size_t b) const {
    for (double bend : kBends) {
      const Curve curve = CurveOf(a, b, bend);
      const bool hidden = [&] {
        for (size_t i = 0; i < scene_.nodes.size(); ++i) {
          if (i == a || i == b) continue;
          Box wide = scene_.nodes[i];
          wide.width += kClearance;
          wide.height += kClearance;
          for (int s = 1; s < kSamples; ++s) {
            if (wide.Holds(curve.At(static_cast<double>(s) / kSamples))) return true;
          }
        }
        return false;
      }();
      if (!hidden) return bend;
    }
    return 0;
  }

  bool Free(const Box& box) const {
    const auto hit = [&](const Box& other) { return box.Overlaps(other, kGap); };
    return std::none_of(scene_.nodes.begin(), scene_.nodes.end(), hit) &&
           std::none_of(taken_.begin(), taken_.end(), hit);
  }

  // How many other links run below this label.
  size_t Covered(const Box& box, size_t own) const {
    size_t out = 0;
    for (const LinkDrawing& other : scene_.links) {
      if (other.link == own) continue;
      for (int s = 0; s <= kSamples; ++s) {
        if (!box.Holds(other.curve.At(static_cast<double>(s) / kSamples))) continue;
        ++out;
        break;
      }
    }
    return out;
  }

  // Along the curve: the free place that covers least, the nearest to where it is wanted among equals.
  void Place(Label& label, const LinkDrawing& drawing, double wanted, std::array<double, 2> range) {
    constexpr double kStep = 0.01;
    double best = -1;
    size_t least = 0;
    for (double off = 0; off <= 0.5; off += kStep) {
      for (double t : {wanted + off, wanted - off}) {
        if (t < range[0] || t > range[1]) continue;
        label.box.at = drawing.curve.At(t);
        if (!Free(label.box)) continue;
        const size_t covered = Covered(label.box, drawing.link);
        if (best >= 0 && covered >= least) continue;
        best = t;
        least = covered;
      }
      if (best >= 0 && least == 0) break;
    }
    if (best < 0) ++scene_.overlaps;
    label.box.at = drawing.curve.At(best < 0 ? wanted : best);
    taken_.push_back(label.box);
  }

  void PlaceEnds(LinkDrawing& drawing) {
    if (!drawing.near.lines.empty()) Place(drawing.near, drawing, 0.02, {0.02, 0.45});
    if (!drawing.far.lines.empty()) Place(drawing.far, drawing, 0.98, {0.55, 0.98});
  }
  void PlaceFacts(LinkDrawing& drawing) { Place(drawing.facts, drawing, 0.5, {0.15, 0.85}); }

  void PlaceArrows(LinkDrawing& drawing) {
    const LinkLoad* load = LoadAt(drawing.link);
    if (load == nullptr) return;
    if (load->a_to_b_bits_s >= 0.5) drawing.arrow_to = FreeSpot(drawing.curve, {0.68, 0.03});
    if (load->b_to_a_bits_s >= 0.5) drawing.arrow_from = FreeSpot(drawing.curve, {0.32, -0.03});
  }

  struct Search {
    double from, step;
  };
  double FreeSpot(const Curve& curve, const Search& search) {
    for (int i = 0; i < 20; ++i) {
      // First outwards, then inwards.
      const double t = search.from + search.step * (i < 10 ? i : 9 - i);
      const Box spot{curve.At(t), 13, 13};
      if (t > 0.03 && t < 0.97 && Free(spot)) return t;
    }
    ++scene_.overlaps;
    return search.from;
  }

  // Moves everything to the page and leaves a margin.
  static void Frame(Scene& scene) {
    double left = 0, top = 0, right = 0, bottom = 0;
    bool first = true;
    const auto take = [&](const Box& box) {
      const double l = box.at.x - box.width / 2, r = box.at.x + box.width / 2;
      const double t = box.at.y - box.height / 2, b = box.at.y + box.height / 2;
      left = first ? l : std::min(left, l);
      right = first ? r : std::max(right, r);
      top = first ? t : std::min(top, t);
      bottom = first ? b : std::max(bottom, b);
      first = false;
    };
    for (const Box& box : scene.nodes) take(box);
    for (const LinkDrawing& link : scene.links) {
      for (const Label* label : {&link.near, &link.far, &link.facts}) {
        if (!label->lines.empty()) take(label->box);
      }
      for (int s = 0; s <= kSamples; ++s) take({link.curve.At(static_cast<double>(s) / kSamples), 8, 8});
    }
    const auto move = [&](Point& point) { point = {point.x - left + kMargin, point.y - top + kMargin}; };
    for (Box& box : scene.nodes) move(box.at);
    for (LinkDrawing& link : scene.links) {
      for (Label* label : {&link.near, &link.far, &link.facts}) move(label->box.at);
      for (Point* point : {&link.curve.from, &link.curve.control, &link.curve.to}) move(*point);
    }
    scene.width = right - left + 2 * kMargin;
    scene.height = bottom - top + 2 * kMargin;
  }

  const Condensed& condensed_;
  const Fabric& fabric_;
  const FabricLoad* load_;
  const std::vector<Point> places_;
  Scene scene_;
  std::vector<Box> taken_;
};

}  // namespace

bool Box::Overlaps(const Box& other, double margin) const {
  return std::abs(at.x - other.at.x) < (width + other.width) / 2 + margin &&
         std::abs(at.y - other.at.y) < (height + other.height) / 2 + margin;
}

bool Box::Holds(const Point& point) const {
  return std::abs(at.x - point.x) <= width / 2 && std::abs(at.y - point.y) <= height / 2;
}

Point Curve::At(double t) const {
  const double a = (1 - t) * (1 - t), b = 2 * t * (1 - t), c = t * t;
  return {a * from.x + b * control.x + c * to.x, a * from.y + b * control.y + c * to.y};
}

double Curve::DirectionAt(double t) const {
  const double dx = (1 - t) * (control.x - from.x) + t * (to.x - control.x);
  const double dy = (1 - t) * (control.y - from.y) + t * (to.y - control.y);
  return std::atan2(dy, dx);
}

Scene Compose(const Condensed& condensed) { return Composer(condensed).Compose(); }

}  // namespace relay::view
