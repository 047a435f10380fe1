#include <algorithm>

#include "perf/step.h"

namespace relay::perf {
namespace {

constexpr size_t kGrain = 4;  // floats: shares and slices begin at multiples of 16 bytes

size_t DivideUp(size_t value, size_t by) { return (value + by - 1) / by; }
size_t RoundUp(size_t value, size_t to) { return DivideUp(value, to) * to; }

Place Input(size_t offset) { return {Where::kInput, offset}; }
Place Output(size_t offset) { return {Where::kOutput, offset}; }

// The share of one channel, chunk by chunk.
template <class Body>
void ForEachChunk(const Work& work, Body body) {
  for (size_t at = work.begin; at < work.end; at += work.chunk()) body(at, std::min(work.chunk(), work.end - at));
}

}  // namespace

void TakeShare(Work& work, int channels) {
  const size_t share = RoundUp(DivideUp(work.count, static_cast<size_t>(channels)), kGrain);
  work.begin = std::min(work.count, share * static_cast<size_t>(work.channel));
  work.end = std::min(work.count, work.begin + share);
}

int AddChunk(Steps& steps, Step step, size_t count, const Work& work) {
  const int first = static_cast<int>(steps.size());
  const auto slices = static_cast<size_t>(work.slices_per_chunk);
  // NCCL's rule: equal slices, but small chunks are not cut. The slices that are left over are empty messages.
  const size_t slice = std::max(RoundUp(DivideUp(count, slices), kGrain), RoundUp(work.slice / 32, kGrain));
  for (size_t i = 0; i < slices; ++i) {
    step.count = std::min(slice, count);
    count -= step.count;
    steps.push_back(step);
    step.local.offset += step.count;
    step.store.offset += step.count;
    if (step.needs >= 0) ++step.needs;
  }
  return first;
}

Steps RingAllReduce(const Work& work) {
  Steps steps;
  const int n = work.ranks;
  if (n == 1) {
    ForEachChunk(work, [&](size_t at, size_t count) {
      AddChunk(steps, {.local = Input(at), .store = Output(at)}, count, work);
    });
    return steps;
  }
  const auto ranks = static_cast<size_t>(n);
  for (size_t base = work.begin; base < work.end;) {
    const size_t chunk = std::min(work.chunk(), RoundUp(DivideUp(work.end - base, ranks), kGrain));
    auto add = [&](int index, Step step) {
      const size_t at = std::min(work.end, base + static_cast<size_t>(index) * chunk);
      step.local.offset = step.store.offset = at;
      AddChunk(steps, step, std::min(chunk, work.end - at), work);
    };
    const std::vector<int> previous{work.Previous()}, next{work.Next()};
    add(work.Previous(), {.to = next, .local = Input(0)});
    for (int j = 2; j < n; ++j) add(work.Previous(j), {.from = previous, .to = next, .local = Input(0)});
    add(work.rank, {.from = previous, .to = next, .local = Input(0), .store = Output(0)});
    for (int j = 1; j < n - 1; ++j) add(work.Previous(j), {.from = previous, .to = next, .store = Output(0)});
    add(work.Next(), {.from = previous, .store = Output(0)});
    base = std::min(work.end, base + chunk * ranks);
  }
  return steps;
}

Steps RingAllGather(const Work& work) {
  Steps steps;
  const int n = work.ranks;
  ForEachChunk(work, [&](size_t at, size_t count) {
    auto block = [&](int rank) { return Output(static_cast<size_t>(rank) * work.count + at); };
    std::vector<int> next;
    if (n > 1) next = {work.Next()};
    AddChunk(steps, {.to = next, .local = Input(at), .store = block(work.rank)}, count, work);
    for (int j = 1; j < n; ++j) {
      if (j == n - 1) next = {};
      AddChunk(steps, {.from = {work.Previous()}, .to = next, .store = block(work.Previous(j))}, count, work);
    }
  });
  return steps;
}

Steps RingReduceScatter(const Work& work) {
  Steps steps;
  const int n = work.ranks;
  ForEachChunk(work, [&](size_t at, size_t count) {
    auto block = [&](int rank) { return Input(static_cast<size_t>(rank) * work.count + at); };
    if (n > 1) AddChunk(steps, {.to = {work.Next()}, .local = block(work.Previous())}, count, work);
    for (int j = 2; j < n; ++j) {
      AddChunk(steps, {.from = {work.Previous()}, .to = {work.Next()}, .local = block(work.Previous(j))}, count, work);
    }
    Step last{.local = block(work.rank), .store = Output(at)};
    if (n > 1) last.from = {work.Previous()};
    AddChunk(steps, last, count, work);
  });
  return steps;
}

Steps RingBroadcast(const Work& work) {
  Steps steps;
  ForEachChunk(work, [&](size_t at, size_t count) {
    Step step{.store = Output(at)};
    if (work.rank == work.root) step.local = Input(at);
    if (work.rank != work.root) step.from = {work.Previous()};
    if (work.Next() != work.root) step.to = {work.Next()};
    AddChunk(steps, step, count, work);
  });
  return steps;
}

Steps RingReduce(const Work& work) {
  Steps steps;
  ForEachChunk(work, [&](size_t at, size_t count) {
    Step step{.local = Input(at)};
    if (work.Previous() != work.root) step.from = {work.Previous()};
    if (work.rank != work.root) step.to = {work.Next()};
    if (work.rank == work.root) step.store = Output(at);
    AddChunk(steps, step, count, work);
  });
  return steps;
}

Steps AllToAll(const Work& work) {
  Steps steps;
  ForEachChunk(work, [&](size_t at, size_t count) {
    auto block = [&](int rank) { return static_cast<size_t>(rank) * work.count + at; };
    AddChunk(steps, {.local = Input(block(work.rank)), .store = Output(block(work.rank))}, count, work);
    for (int j = 1; j < work.ranks; ++j) {
      AddChunk(steps, {.to = {work.Next(j)}, .local = Input(block(work.Next(j)))}, count, work);
      AddChunk(steps, {.from = {work.Previous(j)}, .store = Output(block(work.Previous(j)))}, count, work);
    }
  });
  return steps;
}

Steps SendReceive(const Work& work) {
  Steps steps;
  ForEachChunk(work, [&](size_t at, size_t count) {
    if (work.ranks == 1) {
      AddChunk(steps, {.local = Input(at), .store = Output(at)}, count, work);
      return;
    }
    AddChunk(steps, {.to = {work.Next()}, .local = Input(at)}, count, work);
    AddChunk(steps, {.from = {work.Previous()}, .store = Output(at)}, count, work);
  });
  return steps;
}

Steps PingPong(const Work& work) {
  Steps steps;
  ForEachChunk(work, [&](size_t at, size_t count) {
    if (work.rank == 0) {
      AddChunk(steps, {.to = {work.peer}, .local = Input(at)}, count, work);
      AddChunk(steps, {.from = {work.peer}, .store = Output(at)}, count, work);
    } else if (work.rank == work.peer) {
      AddChunk(steps, {.from = {0}, .to = {0}, .store = Output(at)}, count, work);
    }
  });
  return steps;
}

}  // namespace relay::perf
