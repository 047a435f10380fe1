#include <algorithm>

#include "perf/step.h"

namespace relay::perf {
namespace {

// The in-order binary tree over 0..ranks-1: odd numbers are leaves, and a node of height h stands 2^h from its
// children. A parent that does not exist is skipped towards 0, the root.
int BinaryParent(int rank, int ranks) {
  if (rank == 0) return -1;
  const int height = rank & -rank;
  const int parent = (rank ^ height) | (height << 1);
  return parent < ranks ? parent : rank ^ height;
}

}  // namespace

// The second tree is the first over other names, so that the leaves of one are inner nodes of the other: shifted by one
// for an odd number of ranks, mirrored for an even one.
int TreeParent(int rank, int ranks, int tree) {
  if (tree % 2 == 0) return BinaryParent(rank, ranks);
  if (ranks % 2 == 0) {
    const int parent = BinaryParent(ranks - 1 - rank, ranks);
    return parent < 0 ? -1 : ranks - 1 - parent;
  }
  const int parent = BinaryParent((rank + ranks - 1) % ranks, ranks);
  return parent < 0 ? -1 : (parent + 1) % ranks;
}

Steps TreeAllReduce(const Work& work) {
  const int parent = TreeParent(work.rank, work.ranks, work.channel);
  std::vector<int> children;
  for (int rank = 0; rank < work.ranks; ++rank) {
    if (TreeParent(rank, work.ranks, work.channel) == work.rank) children.push_back(rank);
  }
  Steps steps;
  for (size_t at = work.begin; at < work.end; at += work.chunk()) {
    const size_t count = std::min(work.chunk(), work.end - at);
    const Place input{Where::kInput, at}, output{Where::kOutput, at};
    if (parent < 0) {
      AddChunk(steps, {.from = children, .to = children, .local = input, .store = output}, count, work);
    } else {
      AddChunk(steps, {.from = children, .to = {parent}, .local = input}, count, work);
      AddChunk(steps, {.from = {parent}, .to = children, .store = output}, count, work);
    }
  }
  return steps;
}

}  // namespace relay::perf
