// Paths: across a grid, from one node to all of a large fabric, and again after one link of it has changed.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "fabric/hash.h"
#include "fabric/path_search.h"
#include "fabric/path_table.h"
#include "relay/fabric.h"

namespace relay::fabric {
namespace {

// One source to all, and what it may take; of the thread's processor time, because others use the machine too.
constexpr size_t kNodes = 10000, kLinks = 50000;
constexpr double kMostMilliseconds = 100;

void Join(Fabric& fabric, size_t a, size_t b, uint32_t speed = 1000, uint32_t latency = 0) {
  auto add_port = [&](size_t node) {
    auto& ports = fabric.nodes[node].ports;
    ports.push_back({.name = "p" + std::to_string(ports.size()), .addresses = {}, .speed_mbit = speed});
    return LinkEnd{node, ports.size() - 1};
  };
  LinkEnd one = add_port(a), other = add_port(b);
  fabric.links.push_back({.a = one, .b = other, .speed_mbit = speed, .latency_us = latency});
}

Fabric Nodes(size_t count) {
  Fabric fabric;
  for (size_t i = 0; i < count; ++i) fabric.nodes.push_back({i + 1, "n" + std::to_string(i), {}});
  return fabric;
}

Fabric Grid(size_t side) {
  Fabric fabric = Nodes(side * side);
  for (size_t row = 0; row < side; ++row) {
    for (size_t column = 0; column < side; ++column) {
      size_t at = row * side + column;
      if (column + 1 < side) Join(fabric, at, at + 1);
      if (row + 1 < side) Join(fabric, at, at + side);
    }
  }
  return fabric;
}

// Links at random, of five speeds and some latencies, after a tree that joins all.
Fabric Large() {
  Fabric fabric = Nodes(kNodes);
  uint64_t state = 1;
  const auto draw = [&](size_t below) { return static_cast<size_t>((state = Mix(state)) % below); };
  constexpr uint32_t kSpeeds[] = {1000, 10000, 25000, 100000, 200000};
  for (size_t i = 0; i < kLinks; ++i) {
    const size_t x = i + 1 < kNodes ? i + 1 : draw(kNodes);
    const size_t y = i + 1 < kNodes ? draw(i + 1) : (x + 1 + draw(kNodes - 1)) % kNodes;
    Join(fabric, x, y, kSpeeds[draw(5)], static_cast<uint32_t>(draw(9)));
  }
  return fabric;
}

double ThreadMilliseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

double Median(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

void FindAcrossGrid(benchmark::State& state) {
  Fabric fabric = Grid(static_cast<size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(FindPath(fabric, 0, fabric.nodes.size() - 1));
}
BENCHMARK(FindAcrossGrid)->Arg(2)->Arg(4)->Arg(8)->Arg(16)->Unit(benchmark::kMicrosecond);

// A gate: run.py takes the exit status for it.
void FindFromOneToAll(benchmark::State& state) {
  const Fabric fabric = Large();
  std::vector<double> times;
  for (auto _ : state) {
    const double begin = ThreadMilliseconds();
    PathSearch search(fabric, times.size());
    size_t reached = 0;
    for (size_t to = 0; to < kNodes; ++to) reached += search.To(fabric, to).has_value() ? 1 : 0;
    times.push_back(ThreadMilliseconds() - begin);
    if (reached == kNodes) continue;
    std::fprintf(stderr, "only %zu of %zu nodes were reached\n", reached, kNodes);
    std::exit(1);
  }
  const double median = Median(times);
  std::printf("one source to all of %zu nodes over %zu links: %.1f ms, median of %zu (at most %.0f)\n", kNodes, kLinks,
              median, times.size(), kMostMilliseconds);
  if (median > kMostMilliseconds) std::exit(1);
}
BENCHMARK(FindFromOneToAll)->Iterations(21)->Unit(benchmark::kMillisecond);

// A link that goes, with all paths known: what the table needs to know all of them again.
void ReplanAfterOneLink(benchmark::State& state) {
  const Fabric before = Large();
  size_t link = 0;
  double searches = 0;
  for (auto _ : state) {
    state.PauseTiming();
    PathTable table(0);
    for (size_t to = 0; to < kNodes; ++to) benchmark::DoNotOptimize(table.To(before, to));
    Fabric after = before;
    after.links.erase(after.links.begin() + static_cast<ptrdiff_t>(link));
    link += 97;
    const uint64_t searched = table.searches();
    state.ResumeTiming();
    table.Changed(before, after);
    for (size_t to = 0; to < kNodes; ++to) benchmark::DoNotOptimize(table.To(after, to));
    searches += static_cast<double>(table.searches() - searched);
  }
  state.counters["searched"] = benchmark::Counter(searches, benchmark::Counter::kAvgIterations);
}
BENCHMARK(ReplanAfterOneLink)->Iterations(10)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace relay::fabric
