// The collectives as data: how large their buffers are, how they are launched, what each rank must hold afterwards.
// Elements are floats. All functions are pure except `launch`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "perf/failure.h"

namespace perf {

// Where this rank stands in the job.
struct Place {
  int rank, ranks, root;
};

// One repetition: `count` is the number that NCCL is given, `seed` makes its data different from those of all others.
struct Repetition {
  size_t count;
  uint32_t seed;
};

struct Launch {
  const float* send;
  float* recv;
  size_t count;
  int root, ranks, rank;
  ncclComm_t comm;
  cudaStream_t stream;
};

// Offsets in elements into the one buffer that an in-place call uses.
struct InPlace {
  size_t send, recv;
};

struct Collective {
  std::string_view name;
  bool reduces;           // has an operator
  bool rooted;            // has a root
  bool splits;            // the printed size is that of all ranks' parts together
  bool in_place_defined;  // NCCL says what an in-place call gives
  size_t (*send_count)(size_t count, int ranks);
  size_t (*recv_count)(size_t count, int ranks);
  InPlace (*in_place)(size_t count, const Place& place);
  double (*bus_factor)(int ranks);  // bus bandwidth per algorithm bandwidth
  ncclResult_t (*launch)(const Launch& launch);
  float (*expected)(size_t index, const Repetition& repetition, const Place& place);
  bool (*receives)(const Place& place);  // has a result on this rank
};

const Collective* FindCollective(std::string_view name);  // nullptr when there is none

// The element that `rank` contributes: a small whole number, so that sums are exact, without a pattern that a shift
// could hide in.
float Contribution(int rank, size_t index, uint32_t seed);

}  // namespace perf
