// Where the nodes of a fabric stand in a drawing, in units of one link's length. Deterministic. Pure.
#pragma once
#include <vector>

#include "view/segments.h"

namespace relay::view {

struct Point {
  double x = 0, y = 0;
};

// A chain stands in a line (in rows that go to and fro when it is long), a ring and what is linked almost completely in
// a circle. Everything else is arranged so that distances on the page are those in the fabric (stress majorization),
// turned so that most links lie across or upright, wider than high. What is too large for that stands in rows. A
// segment beside a chain is below it, one beside a ring inside.
std::vector<Point> LayOut(const Condensed& condensed);

}  // namespace relay::view
