#include "lab/lines.h"

namespace relay::lab {
namespace {

constexpr size_t kLongestLine = 64 * 1024;

}  // namespace

std::string LinePrefixer::Feed(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    rest_ += bytes.substr(0, end);
    if (end == bytes.npos) {
      if (rest_.size() >= kLongestLine) out += Finish();
      break;
    }
    out += prefix_ + rest_ + "\n";
    rest_.clear();
    bytes.remove_prefix(end + 1);
  }
  return out;
}

std::string LinePrefixer::Finish() {
  if (rest_.empty()) return "";
  std::string out = prefix_ + rest_ + "\n";
  rest_.clear();
  return out;
}

}  // namespace relay::lab
