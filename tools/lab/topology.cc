#include "lab/topology.h"

#include <fmt/format.h>

#include <charconv>

namespace relay::lab {
namespace {

// 0 when it is none.
size_t ParseCount(std::string_view text) {
  size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : 0;
}

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

}  // namespace

std::string NodeName(size_t index) {
  std::string name;
  for (size_t rest = index + 1; rest > 0; rest = (rest - 1) / 26) {
    name.insert(name.begin(), static_cast<char>('A' + (rest - 1) % 26));
  }
  return name;
}

bool LooksLikeShape(std::string_view text) {
  for (std::string_view shape : {"chain", "ring", "star", "grid", "full"}) {
    if (text == shape || text.substr(0, text.find(':')) == shape) return true;
  }
  return false;
}

Result<Topology> ParseShape(std::string_view text) {
  const size_t colon = std::min(text.find(':'), text.size());
  const std::string_view shape = text.substr(0, colon);
  const std::string_view size = colon == text.size() ? "" : text.substr(colon + 1);
  const size_t cross = size.find('x');
  const bool grid = shape == "grid";
  const size_t rows = ParseCount(size.substr(0, cross));
  const size_t columns = cross == size.npos ? 1 : ParseCount(size.substr(cross + 1));
  if (rows == 0 || columns == 0 || grid != (cross != size.npos)) {
    return Fail(ErrorCode::kUsage, fmt::format("\"{}\" is no topology: chain:N ring:N star:N grid:RxC full:N", text));
  }
  // Each factor first: their product may not fit.
  const size_t n = rows > kMaxNodes || columns > kMaxNodes ? 0 : rows * columns;
  if (n < 2 || n > kMaxNodes) {
    return Fail(ErrorCode::kUsage, fmt::format("{}: a lab has 2 to {} nodes", text, kMaxNodes));
  }
  Topology topology;
  topology.name = fmt::format("{}-{}", shape, size);
  for (size_t i = 0; i < n; ++i) topology.nodes.push_back(NodeName(i));
  topology.cables = shape == "chain"  ? Chain(n)
                    : shape == "ring" ? Ring(n)
                    : shape == "star" ? Star(n)
                    : shape == "full" ? Full(n)
                                      : Grid(rows, columns);
  return topology;
}

}  // namespace relay::lab
