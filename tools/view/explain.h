// Why circuits between two nodes take the path that they take: the path, what else there is and why not that, or what
// is missing where there is none. Pure.
#pragma once
#include <string>
#include <vector>

#include "relay/fabric.h"

namespace relay::view {

struct Alternative {
  fabric::Path path;
  std::string why_not;  // "narrower: 100 Mbit/s at A-C (A/ac to C/ca)"
};

struct Explanation {
  size_t from = 0, to = 0;
  bool reached = false;
  fabric::Path path;                      // valid when reached
  std::vector<Alternative> alternatives;  // best first
  // Not reached: what either side reaches, itself included, and ports there without any link, as "NODE/PORT".
  std::vector<std::string> reached_from, reached_to, free_from, free_to;
};

// The alternatives are those that one would think of: the best path without each link of the path, paths that share no
// link with any before, and every direct link.
Explanation Explain(const fabric::Fabric& fabric, size_t from, size_t to);

std::string ExplanationText(const fabric::Fabric& fabric, const Explanation& explanation);
std::string ExplanationJson(const fabric::Fabric& fabric, const Explanation& explanation);

// The node of this name; the error names those that are near.
Result<size_t> NodeNamed(const fabric::Fabric& fabric, const std::string& name);

}  // namespace relay::view
