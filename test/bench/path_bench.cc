// One path search on a square grid, from corner to corner.
#include <benchmark/benchmark.h>

#include "relay/fabric.h"

namespace relay::fabric {
namespace {

void Join(Fabric& fabric, size_t a, size_t b) {
  auto add_port = [&](size_t node) {
    auto& ports = fabric.nodes[node].ports;
    ports.push_back({.name = "p" + std::to_string(ports.size()), .addresses = {}, .speed_mbit = 1000});
    return LinkEnd{node, ports.size() - 1};
  };
  LinkEnd one = add_port(a), other = add_port(b);
  fabric.links.push_back({.a = one, .b = other, .speed_mbit = 1000});
}

Fabric Grid(size_t side) {
  Fabric fabric;
  for (size_t i = 0; i < side * side; ++i) fabric.nodes.push_back({i + 1, "n" + std::to_string(i), {}});
  for (size_t row = 0; row < side; ++row) {
    for (size_t column = 0; column < side; ++column) {
      size_t at = row * side + column;
      if (column + 1 < side) Join(fabric, at, at + 1);
      if (row + 1 < side) Join(fabric, at, at + side);
    }
  }
  return fabric;
}

void FindAcrossGrid(benchmark::State& state) {
  Fabric fabric = Grid(static_cast<size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(FindPath(fabric, 0, fabric.nodes.size() - 1));
}
BENCHMARK(FindAcrossGrid)->Arg(2)->Arg(4)->Arg(8)->Arg(16)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace relay::fabric
