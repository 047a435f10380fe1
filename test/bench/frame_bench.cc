// What a frame costs beside its payload.
#include <benchmark/benchmark.h>

#include "relay/frame.h"

namespace relay {
namespace {

FrameHeader Data() { return {.type = FrameType::kData, .message = 7, .offset = 4096, .length = 4096, .total = 8192}; }

void EncodeHeader(benchmark::State& state) {
  FrameHeader header = Data();
  for (auto _ : state) {
    ++header.message;
    benchmark::DoNotOptimize(EncodeFrame(header));
  }
}
BENCHMARK(EncodeHeader);

void DecodeHeader(benchmark::State& state) {
  const FrameBytes bytes = EncodeFrame(Data());
  for (auto _ : state) benchmark::DoNotOptimize(DecodeFrame(bytes));
}
BENCHMARK(DecodeHeader);

}  // namespace
}  // namespace relay
