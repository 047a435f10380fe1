// What a node or a port may be called, in a declaration, in a record and in a graph.
#pragma once
#include <algorithm>
#include <string_view>

#include "relay/setup.h"

namespace relay::fabric {

inline bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

inline bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && std::all_of(name.begin(), name.end(), IsNameCharacter);
}

}  // namespace relay::fabric
