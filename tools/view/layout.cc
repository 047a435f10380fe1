#include "view/layout.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <numeric>
#include <queue>

#include "view/fabric_shape.h"

namespace relay::view {
namespace {

using fabric::Fabric;

constexpr size_t kRow = 6;             // of a chain
constexpr size_t kMostArranged = 300;  // the arrangement takes time with the square of the nodes
constexpr double kFull = 0.6;          // of all possible links
constexpr int kStarts = 8, kRounds = 200;

std::vector<Point> InRows(const std::vector<size_t>& order, size_t columns) {
  std::vector<Point> out(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const size_t row = i / columns, column = i % columns;
    out[order[i]] = {static_cast<double>(row % 2 == 0 ? column : columns - 1 - column), static_cast<double>(row)};
  }
  return out;
}

// The first at the top left, then clockwise; the side of the polygon is one link.
std::vector<Point> InCircle(const std::vector<size_t>& order) {
  const double n = static_cast<double>(order.size());
  const double step = 2 * std::numbers::pi / n, radius = order.size() < 2 ? 0 : 1 / (2 * std::sin(step / 2));
  std::vector<Point> out(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const double angle = -std::numbers::pi / 2 + step * (static_cast<double>(i) - 0.5);
    out[order[i]] = {radius * std::cos(angle), radius * std::sin(angle)};
  }
  return out;
}

using Matrix = std::vector<std::vector<double>>;

// In links. Pieces that nothing joins keep a distance. Links of last resort count a little more, so that a LAN lets the
// cables decide.
Matrix Distances(const Fabric& fabric) {
  const size_t n = fabric.nodes.size();
  const double apart = std::sqrt(static_cast<double>(n)) + 1;
  std::vector<std::vector<std::pair<size_t, double>>> neighbours(n);
  for (const fabric::Link& link : fabric.links) {
    const double length = link.last_resort ? 1.5 : 1;
    neighbours[link.a.node].emplace_back(link.b.node, length);
    neighbours[link.b.node].emplace_back(link.a.node, length);
  }
  Matrix out(n, std::vector<double>(n, -1));
  for (size_t from = 0; from < n; ++from) {
    using Entry = std::pair<double, size_t>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> open;
    open.emplace(0, from);
    while (!open.empty()) {
      const auto [distance, at] = open.top();
      open.pop();
      if (out[from][at] >= 0) continue;
      out[from][at] = distance;
      for (const auto& [next, length] : neighbours[at]) {
        if (out[from][next] < 0) open.emplace(distance + length, next);
      }
    }
    for (double& distance : out[from]) distance = distance < 0 ? apart : distance;
  }
  return out;
}

double Stress(const Matrix& wanted, const std::vector<Point>& at) {
  double out = 0;
  for (size_t i = 0; i < at.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const double off = std::hypot(at[i].x - at[j].x, at[i].y - at[j].y) - wanted[i][j];
      out += off * off / (wanted[i][j] * wanted[i][j]);
    }
  }
  return out;
}

// One round: every node goes to where the others, each at its wanted distance, would have it on average.
void Majorize(const Matrix& wanted, std::vector<Point>& at) {
  for (size_t i = 0; i < at.size(); ++i) {
    double weights = 0;
    Point sum;
    for (size_t j = 0; j < at.size(); ++j) {
      if (j == i) continue;
      const double weight = 1 / (wanted[i][j] * wanted[i][j]);
      const double dx = at[i].x - at[j].x, dy = at[i].y - at[j].y, length = std::max(std::hypot(dx, dy), 1e-9);
      sum.x += weight * (at[j].x + wanted[i][j] * dx / length);
      sum.y += weight * (at[j].y + wanted[i][j] * dy / length);
      weights += weight;
    }
    if (weights > 0) at[i] = {sum.x / weights, sum.y / weights};
  }
}

// The same on every machine.
class Draw {
 public:
  explicit Draw(uint64_t seed) : state_(seed) {}
  double Unit() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<double>(state_ >> 40) / static_cast<double>(uint64_t{1} << 24);
  }

 private:
  uint64_t state_;
};

std::vector<Point> Arrange(const Fabric& fabric, const std::vector<size_t>& order) {
  const Matrix wanted = Distances(fabric);
  const double span = std::sqrt(static_cast<double>(order.size()));
  std::vector<Point> best;
  double least = 0;
  for (int start = 0; start < kStarts; ++start) {
    std::vector<Point> at = InCircle(order);
    Draw draw(static_cast<uint64_t>(start) + 1);
    for (Point& point : at) {
      if (start > 0) point = {span * draw.Unit(), span * draw.Unit()};
    }
    for (int round = 0; round < kRounds; ++round) Majorize(wanted, at);
    const double stress = Stress(wanted, at);
    if (!best.empty() && stress >= least - 1e-6) continue;
    best = std::move(at);
    least = stress;
  }
  return best;
}

Point Turned(const Point& point, double angle) {
  const double c = std::cos(angle), s = std::sin(angle);
  return {c * point.x - s * point.y, s * point.x + c * point.y};
}

// How far the links are from lying across or upright, together.
double Slant(const Fabric& fabric, const std::vector<Point>& at, double angle) {
  double out = 0;
  for (const fabric::Link& link : fabric.links) {
    const Point& a = at[link.a.node];
    const Point& b = at[link.b.node];
    const Point way = Turned({b.x - a.x, b.y - a.y}, angle);
    const double length = std::max(std::hypot(way.x, way.y), 1e-9);
    out += std::min(std::abs(way.x), std::abs(way.y)) / length;
  }
  return out;
}

struct Extent {
  double width = 0, height = 0;
};

Extent ExtentOf(const std::vector<Point>& at) {
  const auto [left, right] = std::minmax_element(at.begin(), at.end(), [](auto& a, auto& b) { return a.x < b.x; });
  const auto [top, bottom] = std::minmax_element(at.begin(), at.end(), [](auto& a, auto& b) { return a.y < b.y; });
  return {right->x - left->x, bottom->y - top->y};
}

void TurnWell(const Fabric& fabric, std::vector<Point>& at) {
  constexpr int kSteps = 90;
  double best = 0, least = -1;
  for (int i = 0; i < kSteps; ++i) {
    const double angle = std::numbers::pi / 2 * i / kSteps, slant = Slant(fabric, at, angle);
    if (least >= 0 && slant >= least - 1e-9) continue;
    least = slant;
    best = angle;
  }
  for (Point& point : at) point = Turned(point, best);
  const Extent extent = ExtentOf(at);
  if (extent.height <= extent.width * 1.05) return;
  for (Point& point : at) point = {point.y, -point.x};
}

// What stands almost at one height, or almost one below the other, does so exactly.
void Straighten(std::vector<Point>& at, double Point::*axis) {
  constexpr double kNear = 0.12, kWhole = 0.3;
  std::vector<size_t> sorted(at.size());
  std::iota(sorted.begin(), sorted.end(), size_t{0});
  std::stable_sort(sorted.begin(), sorted.end(), [&](size_t a, size_t b) { return at[a].*axis < at[b].*axis; });
  for (size_t first = 0; first < sorted.size();) {
    size_t end = first + 1;
    double sum = at[sorted[first]].*axis;
    const double start = sum;
    for (; end < sorted.size(); ++end) {
      const double value = at[sorted[end]].*axis;
      if (value - at[sorted[end - 1]].*axis > kNear || value - start > kWhole) break;
      sum += value;
    }
    for (size_t i = first; i < end; ++i) at[sorted[i]].*axis = sum / static_cast<double>(end - first);
    first = end;
  }
}

// The first by name at the upper left.
void MirrorWell(const std::vector<size_t>& order, std::vector<Point>& at) {
  Point middle;
  for (const Point& point : at) {
    middle.x += point.x / static_cast<double>(at.size());
    middle.y += point.y / static_cast<double>(at.size());
  }
  const Point first = at[order.front()];
  for (Point& point : at) {
    if (first.x > middle.x + 1e-6) point.x = -point.x;
    if (first.y > middle.y + 1e-6) point.y = -point.y;
  }
}

bool AlmostFull(const Fabric& fabric) {
  const double n = static_cast<double>(fabric.nodes.size());
  return n > 4 && static_cast<double>(fabric.links.size()) > kFull * n * (n - 1) / 2;
}

// Segments beside nodes that stand in a line or a circle already.
void PlaceSegments(const Condensed& condensed, FabricShape shape, std::vector<Point>& at) {
  const Extent extent = ExtentOf(at);
  const double middle = extent.width / 2;
  size_t placed = 0;
  while (at.size() < condensed.fabric.nodes.size()) {
    const double shift = static_cast<double>(placed++);
    // A circle is around 0, a line begins there.
    at.push_back(shape == FabricShape::kRing ? Point{0, 0.6 * shift}
                                             : Point{middle + 0.25 + shift, extent.height + 1.3});
  }
}

}  // namespace

std::vector<Point> LayOut(const Condensed& condensed) {
  const Fabric& fabric = condensed.fabric;
  const Order order = OrderOf(WithoutSegments(condensed));
  if (order.nodes.empty()) return {};
  std::vector<Point> out;
  if (order.shape == FabricShape::kChain) {
    out = InRows(order.nodes, std::min(order.nodes.size(), kRow));
  } else if (order.shape == FabricShape::kRing || AlmostFull(fabric)) {
    out = InCircle(order.nodes);
  }
  if (!out.empty()) {
    PlaceSegments(condensed, order.shape, out);
    return out;
  }
  std::vector<size_t> all(order.nodes);
  while (all.size() < fabric.nodes.size()) all.push_back(all.size());
  if (all.size() > kMostArranged) return InRows(all, static_cast<size_t>(std::sqrt(static_cast<double>(all.size()))));
  out = Arrange(fabric, all);
  TurnWell(fabric, out);
  Straighten(out, &Point::x);
  Straighten(out, &Point::y);
  MirrorWell(all, out);
  return out;
}

}  // namespace relay::view
