// A drawing of a fabric in pixels: boxes for nodes, curves for links, labels that hide nothing. Pure.
#pragma once
#include <string>
#include <vector>

#include "relay/fabric.h"
#include "view/layout.h"
#include "view/segments.h"

namespace relay::view {

// Around its middle.
struct Box {
  Point at;
  double width = 0, height = 0;
  bool Overlaps(const Box& other, double margin) const;
  bool Holds(const Point& point) const;
};

struct Label {
  std::vector<std::string> lines;
  Box box;
};

// A quadratic curve between two boxes' middles.
struct Curve {
  Point from, control, to;
  Point At(double t) const;
  double DirectionAt(double t) const;  // radians
};

struct LinkDrawing {
  size_t link = 0;
  Curve curve;
  double thickness = 1;
  Label near, far, facts;  // cable ends as NODE:port (none at a segment), and speed with what flows
  // Arrowheads, where something flows: by t, towards `to` and towards `from`; 0: none.
  double arrow_to = 0, arrow_from = 0;
};

struct Scene {
  double width = 0, height = 0;
  std::vector<Box> nodes;  // as in the condensed fabric
  std::vector<LinkDrawing> links;
  size_t overlaps = 0;  // labels for which no free place was found
};

// Text is measured by this much per character: a monospaced font's width.
inline constexpr double kNodeChar = 9, kLabelChar = 6.7, kLabelLine = 14;

Scene Compose(const Condensed& condensed);

}  // namespace relay::view
