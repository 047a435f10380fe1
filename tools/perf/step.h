// What a kernel does, message by message: an algorithm is a list of steps for each channel of each rank.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "perf/options.h"

namespace relay::perf {

enum class Where : uint8_t { kNowhere, kInput, kOutput, kScratch };

// `count` floats of one of the caller's buffers.
struct Place {
  Where where = Where::kNowhere;
  size_t offset = 0;  // floats
};

// Takes one message from each of `from`, adds `local` to their sum, stores that at `store` and sends it to each of
// `to`. Each part may be missing. Steps run as soon as they can; those that use one connection in their order.
struct Step {
  std::vector<int> from{}, to{};  // ranks
  Place local{}, store{};
  size_t count = 0;  // floats; 0: empty messages
  int needs = -1;    // an earlier step that must be done before
};
using Steps = std::vector<Step>;

// One channel's part of one call, on one rank.
struct Work {
  int rank = 0, ranks = 1, root = 0, peer = 0;
  int channel = 0;
  size_t count = 0;           // floats of a block: NCCL's count
  size_t begin = 0, end = 0;  // this channel's share of every block
  size_t slice = 0;           // floats of a message at most
  int slices_per_chunk = 1;

  int Next(int distance = 1) const { return (rank + distance) % ranks; }
  int Previous(int distance = 1) const { return (rank + ranks - distance % ranks) % ranks; }
  size_t chunk() const { return slice * static_cast<size_t>(slices_per_chunk); }
};

// Cuts [0, count) of a block into the channels' shares.
void TakeShare(Work& work, int channels);

// Appends one step of `count` floats as its slices. Returns the index of the first.
int AddChunk(Steps& steps, Step step, size_t count, const Work& work);

// Ring, pipelined around rank 0, 1, ..., 0.
Steps RingAllReduce(const Work& work);
Steps RingAllGather(const Work& work);
Steps RingReduceScatter(const Work& work);
Steps RingBroadcast(const Work& work);
Steps RingReduce(const Work& work);
// Double binary tree: even channels use the first tree, odd ones the second.
Steps TreeAllReduce(const Work& work);
// Parallel aggregated trees: a binomial tree for every block, peers 1, 2, 4, ... ranks away.
Steps PatAllGather(const Work& work);
Steps PatReduceScatter(const Work& work);
// Every pair's own connection.
Steps AllToAll(const Work& work);
Steps SendReceive(const Work& work);
// Rank 0 and `peer`: there and back.
Steps PingPong(const Work& work);

// The parent of `rank` in the channel's tree, -1: it is the root.
int TreeParent(int rank, int ranks, int tree);

}  // namespace relay::perf
