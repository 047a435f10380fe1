#include "perf/collective.h"

#include <cstring>

namespace relay::perf {
namespace {

double Plain(int) { return 1; }
double OthersShare(int ranks) { return static_cast<double>(ranks - 1) / ranks; }
double ThereAndBack(int ranks) { return 2 * OthersShare(ranks); }

bool Everyone(const Work&) { return true; }
bool RootOnly(const Work& place) { return place.rank == place.root; }
bool BothEnds(const Work& place) { return place.rank == 0 || place.rank == place.peer; }

float Sum(size_t index, uint32_t seed, int ranks) {
  float sum = 0;
  for (int rank = 0; rank < ranks; ++rank) sum += Contribution(rank, index, seed);
  return sum;
}

float TheSum(size_t index, uint32_t seed, const Work& place) { return Sum(index, seed, place.ranks); }
float OwnBlockOfTheSum(size_t index, uint32_t seed, const Work& place) {
  return Sum(static_cast<size_t>(place.rank) * place.count + index, seed, place.ranks);
}
float EveryonesBlock(size_t index, uint32_t seed, const Work& place) {
  return Contribution(static_cast<int>(index / place.count), index % place.count, seed);
}
float TheRoots(size_t index, uint32_t seed, const Work& place) { return Contribution(place.root, index, seed); }
float MineFromEveryone(size_t index, uint32_t seed, const Work& place) {
  const size_t own = static_cast<size_t>(place.rank) * place.count;
  return Contribution(static_cast<int>(index / place.count), own + index % place.count, seed);
}
float ThePreviousRanks(size_t index, uint32_t seed, const Work& place) {
  return Contribution(place.Previous(), index, seed);
}
float RankZeros(size_t index, uint32_t seed, const Work&) { return Contribution(0, index, seed); }

constexpr Collective kCollectives[] = {
    {"all_reduce", true, false, false, false, false, false, ThereAndBack, Everyone, TheSum},
    {"all_gather", false, false, false, false, true, true, OthersShare, Everyone, EveryonesBlock},
    {"reduce_scatter", true, false, false, true, false, true, OthersShare, Everyone, OwnBlockOfTheSum},
    {"broadcast", false, true, false, false, false, false, Plain, Everyone, TheRoots},
    {"reduce", true, true, false, false, false, false, Plain, RootOnly, TheSum},
    {"alltoall", false, false, true, true, true, true, OthersShare, Everyone, MineFromEveryone},
    {"sendrecv", false, false, true, false, false, false, Plain, Everyone, ThePreviousRanks},
    {"pingpong", false, false, true, false, false, false, Plain, BothEnds, RankZeros},
};

// NCCL's buffers are 4 MiB in 8 steps. A ring's slice is two steps, all others' is one; send and receive have their
// own.
constexpr Layouts kRingLayouts{{1 << 20, 4, 2}}, kOtherLayouts{{512 << 10, kSteps, 1}},
    kPairLayouts{{128 << 10, kSteps, 1}};

constexpr Algorithm kRings[] = {{"all_reduce", RingAllReduce, kRingLayouts},
                                {"all_gather", RingAllGather, kRingLayouts},
                                {"reduce_scatter", RingReduceScatter, kRingLayouts},
                                {"broadcast", RingBroadcast, kOtherLayouts},
                                {"reduce", RingReduce, kOtherLayouts},
                                {"alltoall", AllToAll, kPairLayouts},
                                {"sendrecv", SendReceive, kPairLayouts},
                                {"pingpong", PingPong, kPairLayouts}};
constexpr Algorithm kTree{"all_reduce", TreeAllReduce, kOtherLayouts};
constexpr Algorithm kPats[] = {{"all_gather", PatAllGather, kOtherLayouts},
                               {"reduce_scatter", PatReduceScatter, kOtherLayouts}};

const Algorithm* Find(std::span<const Algorithm> algorithms, std::string_view collective) {
  for (const Algorithm& algorithm : algorithms) {
    if (algorithm.name == collective) return &algorithm;
  }
  return nullptr;
}

}  // namespace

const Collective* FindCollective(std::string_view name) {
  for (const Collective& collective : kCollectives) {
    if (collective.name == name) return &collective;
  }
  return nullptr;
}

// The options were validated: a choice that a collective does not have cannot come here.
const Algorithm& AlgorithmOf(const Collective& collective, AlgorithmChoice choice) {
  if (choice == AlgorithmChoice::kTree) return kTree;
  if (choice == AlgorithmChoice::kPat) return *Find(kPats, collective.name);
  return *Find(kRings, collective.name);
}

float Contribution(int rank, size_t index, uint32_t seed) {
  uint32_t x =
      static_cast<uint32_t>(index) * 0x9e3779b1U + static_cast<uint32_t>(rank) * 0x7feb352dU + seed * 0x846ca68bU;
  x ^= x >> 16;
  x *= 0x85ebca6bU;
  x ^= x >> 13;
  return static_cast<float>((x & 1023) + 1);
}

}  // namespace relay::perf
