#include "fabric/spelling.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace relay::fabric {
namespace {

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string DidYouMean(std::string_view unknown, std::span<const std::string_view> known) {
  if (unknown.size() > 64) return "";
  std::string_view nearest;
  size_t best = 3;  // farther than two edits is another word
  for (std::string_view word : known) {
    const size_t distance = EditDistance(unknown, word);
    if (distance < best && distance < word.size()) {
      best = distance;
      nearest = word;
    }
  }
  return nearest.empty() ? "" : ", did you mean \"" + std::string(nearest) + "\"?";
}

}  // namespace relay::fabric
