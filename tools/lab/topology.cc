#include "lab/topology.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "lab/prng.h"

namespace relay::lab {
namespace {

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// 0 when it is none.
size_t ParseCount(std::string_view text) { return ParseNumber(text).value_or(0); }

std::vector<Cable> Chain(size_t n) {
  std::vector<Cable> cables;
  for (size_t i = 0; i + 1 < n; ++i) cables.push_back({i, i + 1});
  return cables;
}

std::vector<Cable> Ring(size_t n) {
  std::vector<Cable> cables = Chain(n);
  cables.push_back({0, n - 1});
  return cables;
}

std::vector<Cable> Star(size_t n) {
  std::vector<Cable> cables;
  for (size_t i = 1; i < n; ++i) cables.push_back({0, i});
  return cables;
}

std::vector<Cable> Full(size_t n) {
  std::vector<Cable> cables;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = i + 1; j < n; ++j) cables.push_back({i, j});
  }
  return cables;
}

std::vector<Cable> Grid(size_t rows, size_t columns) {
  std::vector<Cable> cables;
  for (size_t i = 0; i < rows * columns; ++i) {
    if ((i + 1) % columns != 0) cables.push_back({i, i + 1});
    if (i + columns < rows * columns) cables.push_back({i, i + columns});
  }
  return cables;
}

// A random tree keeps it connected; the other cables are drawn from the pairs that have none. Cables are in the order
// of their nodes, so that interfaces are too.
std::vector<Cable> Random(size_t n, size_t links, uint64_t seed) {
  Prng prng(seed);
  std::vector<size_t> order(n);
  for (size_t i = 0; i < n; ++i) order[i] = i;
  prng.Shuffle(order);
  std::set<std::pair<size_t, size_t>> chosen;
  for (size_t i = 1; i < n; ++i) chosen.insert(std::minmax(order[i], order[prng.Below(i)]));
  std::vector<std::pair<size_t, size_t>> others;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = i + 1; j < n; ++j) {
      if (!chosen.contains({i, j})) others.emplace_back(i, j);
    }
  }
  prng.Shuffle(others);
  chosen.insert(others.begin(), others.begin() + static_cast<std::ptrdiff_t>(links - chosen.size()));
  std::vector<Cable> cables;
  for (const auto& [a, b] : chosen) cables.push_back({a, b});
  return cables;
}

Status CheckSize(std::string_view text, size_t n) {
  if (n >= 2 && n <= kMaxNodes) return {};
  return Fail(ErrorCode::kUsage, fmt::format("{}: a lab has 2 to {} nodes", text, kMaxNodes));
}

Topology WithNodes(std::string name, size_t n) {
  Topology topology{std::move(name), {}, {}};
  for (size_t i = 0; i < n; ++i) topology.nodes.push_back(NodeName(i));
  return topology;
}

// "N", "N:M", "N:M:SEED".
Result<Topology> ParseRandom(std::string_view text, std::string_view sizes) {
  std::vector<std::optional<uint64_t>> numbers;
  for (size_t at = 0; at <= sizes.size();) {
    const size_t end = std::min(sizes.find(':', at), sizes.size());
    numbers.push_back(ParseNumber(sizes.substr(at, end - at)));
    at = end + 1;
  }
  if (numbers.size() > 3 || std::find(numbers.begin(), numbers.end(), std::nullopt) != numbers.end()) {
    return Fail(
        ErrorCode::kUsage,
        fmt::format("\"{}\" is no topology: write random:NODES, random:NODES:LINKS or random:NODES:LINKS:SEED", text));
  }
  RELAY_TRY(CheckSize(text, *numbers[0]));
  const size_t n = *numbers[0], most = n * (n - 1) / 2;
  const size_t links = numbers.size() > 1 ? *numbers[1] : std::min(n + n / 2, most);
  const uint64_t seed = numbers.size() > 2 ? *numbers[2] : 1;
  if (links < n - 1 || links > most) {
    return Fail(ErrorCode::kUsage, fmt::format("{}: {} nodes are joined by {} to {} links", text, n, n - 1, most));
  }
  Topology topology = WithNodes(fmt::format("random-{}-{}-{}", n, links, seed), n);
  topology.cables = Random(n, links, seed);
  return topology;
}

}  // namespace

std::string NodeName(size_t index) {
  std::string name;
  for (size_t rest = index + 1; rest > 0; rest = (rest - 1) / 26) {
    name.insert(name.begin(), static_cast<char>('A' + (rest - 1) % 26));
  }
  return name;
}

bool LooksLikeShape(std::string_view text) {
  for (std::string_view shape : {"chain", "ring", "star", "grid", "full", "random"}) {
    if (text == shape || text.substr(0, text.find(':')) == shape) return true;
  }
  return false;
}

Result<Topology> ParseShape(std::string_view text) {
  const size_t colon = std::min(text.find(':'), text.size());
  const std::string_view shape = text.substr(0, colon);
  const std::string_view size = colon == text.size() ? "" : text.substr(colon + 1);
  if (shape == "random") return ParseRandom(text, size);
  const size_t cross = size.find('x');
  const bool grid = shape == "grid";
  const size_t rows = ParseCount(size.substr(0, cross));
  const size_t columns = cross == size.npos ? 1 : ParseCount(size.substr(cross + 1));
  if (rows == 0 || columns == 0 || grid != (cross != size.npos)) {
    return Fail(ErrorCode::kUsage, fmt::format("\"{}\" is no topology: {}", text, kShapes));
  }
  // Each factor first: their product may not fit.
  const size_t n = rows > kMaxNodes || columns > kMaxNodes ? 0 : rows * columns;
  RELAY_TRY(CheckSize(text, n));
  Topology topology = WithNodes(fmt::format("{}-{}", shape, size), n);
  topology.cables = shape == "chain"  ? Chain(n)
                    : shape == "ring" ? Ring(n)
                    : shape == "star" ? Star(n)
                    : shape == "full" ? Full(n)
                                      : Grid(rows, columns);
  return topology;
}

}  // namespace relay::lab
