// The ends of a path as agents write it: "A ab--ba B bc--cb C".
#pragma once
#include <string>

namespace relay::comm {

// "A ab--ba B"; the path itself when it has no second link.
inline std::string FirstLink(const std::string& path) {
  size_t end = path.find(' ');
  for (int words = 1; words < 3 && end != std::string::npos; ++words) end = path.find(' ', end + 1);
  return path.substr(0, end);
}

// "B bc--cb C"
inline std::string LastLink(const std::string& path) {
  size_t begin = path.rfind(' ');
  for (int words = 1; words < 3 && begin != std::string::npos && begin > 0; ++words) begin = path.rfind(' ', begin - 1);
  return begin == std::string::npos ? path : path.substr(begin + 1);
}

}  // namespace relay::comm
