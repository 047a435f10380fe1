// Messages end to end in one thread: two streams over a socketpair, and the placement of what a GPU may poll.
#include <benchmark/benchmark.h>

#include "fake/stream_pair.h"
#include "stream/placement.h"

namespace relay::stream {
namespace {

void OneMessage(benchmark::State& state) {
  auto size = static_cast<size_t>(state.range(0));
  StreamOptions options = fake::Options();
  options.segment = 1 << 20;
  fake::StreamPair pair(options);
  std::vector<std::byte> from(size), to(size);
  uint64_t bytes = 0;
  for (auto _ : state) {
    Request* receive = fake::StreamPair::Post(*pair.receiver, to.data(), size);
    Request* send = fake::StreamPair::Post(*pair.sender, from.data(), size);
    while (*receive->stream->Test(*receive, bytes) != Progress::kDone) pair.Attend();
    while (*send->stream->Test(*send, bytes) != Progress::kDone) pair.Attend();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(OneMessage)->Arg(8)->Arg(4096)->Arg(65536)->Arg(1 << 20);

void PlaceOrdered(benchmark::State& state) {
  std::vector<std::byte> from(65536), to(65536);
  auto size = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    PlaceInOrder(to.data(), from.data(), size);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(PlaceOrdered)->Arg(8)->Arg(4096)->Arg(65536);

}  // namespace
}  // namespace relay::stream
