// Text of others in our log: no line of theirs may look like one of ours.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>

namespace relay::agent {

inline bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

inline bool IsPrintable(std::string_view text) { return std::none_of(text.begin(), text.end(), IsControl); }

inline std::string Printable(std::string text) {
  std::replace_if(text.begin(), text.end(), IsControl, '?');
  return text;
}

}  // namespace relay::agent
