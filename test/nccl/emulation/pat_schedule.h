// The order of work of NCCL's PAT ("parallel aggregated trees") for the ranks that gather or scatter.
//
// "Block b" of a rank is the data of the rank b places after it. A gather moves it down a binomial tree: block b comes
// in along its dimension d, the lowest bit of b that is set, from the rank 2^d after this one, for which it is block
// b - 2^d, its parent; block 0 is the rank's own. So a rank sends a parent and receives what is a child for it, along
// the dimensions 0, 1, 2 ... A scatter is the same backwards: children are received and added to their parents, and
// what has been added up is sent on; block 0 is the result.
//
// Blocks of one dimension share messages. Blocks a stride apart are handled together, one round per residue; the
// multiples of the stride (the trunk) come first in a gather and last in a scatter.
#pragma once

#include <cstddef>
#include <vector>

namespace fakecuda {

inline constexpr int kNoBlock = -1;

// Sizes that decide how many blocks share a message, in bytes.
struct PatSizes {
  size_t chunk, share;
};

struct PatStep {
  int block;  // gather: what is sent or kept; scatter: what is added to, and sent when it is complete
  int child;  // gather: what `block` is for its receiver; scatter: what is received; kNoBlock for none
};

// Where a block is among the messages that one rank sends along its dimension during one chunk.
struct PatPlace {
  int message, index;
  bool last;  // of its message
};

struct PatSchedule {
  int dimensions;
  std::vector<PatStep> steps;
  std::vector<PatPlace> places;  // by block; none for block 0
  std::vector<int> uses;         // by block: the steps that have it as `block`
  std::vector<int> messages;     // by dimension: sent, and received, per chunk
};

int PatDimension(int block);  // of a block other than 0

PatSchedule PatGather(int ranks, PatSizes sizes);
// `count_absent`: a message keeps places for blocks beyond the last rank.
PatSchedule PatScatter(int ranks, PatSizes sizes, bool count_absent);

}  // namespace fakecuda
