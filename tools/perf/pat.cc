// In the tree of block b, rank r stands at place v = (r - b) mod ranks. Place v > 0 hangs below v - lowest bit of v, so
// every edge joins ranks 1, 2, 4, ... apart, and all trees together use each rank alike.
#include <algorithm>

#include "perf/step.h"

namespace relay::perf {
namespace {

int LowestBit(int place) { return place & -place; }

// Place `place` has a child `distance` above it.
bool HasChild(int place, int distance, int ranks) {
  return place + distance < ranks && (place == 0 || LowestBit(place) > distance);
}

int Farthest(int ranks) {
  int distance = 1;
  while (distance * 2 < ranks) distance *= 2;
  return distance;
}

}  // namespace

// The farthest first, so that the many messages of the last rounds go to neighbours.
Steps PatAllGather(const Work& work) {
  Steps steps;
  for (size_t at = work.begin; at < work.end; at += work.chunk()) {
    const size_t count = std::min(work.chunk(), work.end - at);
    auto output = [&](int block) { return Place{Where::kOutput, static_cast<size_t>(block) * work.count + at}; };
    std::vector<int> source(static_cast<size_t>(work.ranks), -1);  // the step that brings a block
    source[static_cast<size_t>(work.rank)] =
        AddChunk(steps, {.local = {Where::kInput, at}, .store = output(work.rank)}, count, work);
    for (int distance = Farthest(work.ranks); distance >= 1; distance /= 2) {
      for (int block = 0; block < work.ranks; ++block) {
        const int place = work.Previous(block);
        int& needs = source[static_cast<size_t>(block)];
        if (HasChild(place, distance, work.ranks)) {
          AddChunk(steps, {.to = {work.Next(distance)}, .local = output(block), .needs = needs}, count, work);
        } else if (place > 0 && LowestBit(place) == distance) {
          needs = AddChunk(steps, {.from = {work.Previous(distance)}, .store = output(block)}, count, work);
        }
      }
    }
  }
  return steps;
}

// The same trees from their leaves to the root: partial sums grow in the scratch buffer.
Steps PatReduceScatter(const Work& work) {
  Steps steps;
  for (size_t at = work.begin; at < work.end; at += work.chunk()) {
    const size_t count = std::min(work.chunk(), work.end - at);
    std::vector<int> source(static_cast<size_t>(work.ranks), -1);  // the step that made the partial sum
    auto sum_so_far = [&](int block) {
      const bool own = source[static_cast<size_t>(block)] < 0;
      return Place{own ? Where::kInput : Where::kScratch, static_cast<size_t>(block) * work.count + at};
    };
    for (int distance = 1; distance < work.ranks; distance *= 2) {
      for (int block = 0; block < work.ranks; ++block) {
        const int place = work.Previous(block);
        int& needs = source[static_cast<size_t>(block)];
        if (HasChild(place, distance, work.ranks)) {
          const Place scratch{Where::kScratch, static_cast<size_t>(block) * work.count + at};
          needs = AddChunk(
              steps, {.from = {work.Next(distance)}, .local = sum_so_far(block), .store = scratch, .needs = needs},
              count, work);
        } else if (place > 0 && LowestBit(place) == distance) {
          AddChunk(steps, {.to = {work.Previous(distance)}, .local = sum_so_far(block), .needs = needs}, count, work);
        }
      }
    }
    const int needs = source[static_cast<size_t>(work.rank)];
    AddChunk(steps, {.local = sum_so_far(work.rank), .store = {Where::kOutput, at}, .needs = needs}, count, work);
  }
  return steps;
}

}  // namespace relay::perf
