// The shapes a lab knows by name. Pure.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "relay/result.h"

namespace relay::lab {

struct Cable {
  size_t a = 0, b = 0;  // indices into Topology::nodes
};

struct Topology {
  std::string name;  // "chain-3"
  std::vector<std::string> nodes;
  std::vector<Cable> cables;
};

// What help and complaints say.
inline constexpr char kShapes[] = "chain:N ring:N star:N grid:RxC full:N random:N[:LINKS[:SEED]]";

inline constexpr size_t kMaxNodes = 250;  // the control network is a /24

// A, B, ..., Z, AA, AB, ...
std::string NodeName(size_t index);

// True for what ParseShape may read; anything else is the path of a fabric file.
bool LooksLikeShape(std::string_view text);

// "chain:N", "ring:N" (ring:2 is two cables), "star:N" (A is the hub), "grid:RxC", "full:N", and "random:N:M:SEED": any
// connected graph of N nodes and M links without twins, the same for a seed on every machine.
Result<Topology> ParseShape(std::string_view text);

}  // namespace relay::lab
