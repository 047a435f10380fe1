// The collectives of nccl-tests: buffers, algorithms, the right result, and the factor of the bus bandwidth.
#pragma once
#include <string_view>

#include "perf/protocol.h"
#include "perf/step.h"

namespace relay::perf {

struct Collective {
  const char* name;
  bool reduces;  // its sum is shown as redop
  bool rooted;
  bool pairs;                  // send and receive, no ring or tree
  bool blocks_in, blocks_out;  // the buffer has a block of `count` for every rank
  bool size_is_of_blocks;      // the size that is asked for is that of all blocks together
  double (*bus_factor)(int ranks);
  bool (*has_result)(const Work& place);
  float (*expected)(size_t index, uint32_t seed, const Work& place);
};

// nullptr: there is none of that name.
const Collective* FindCollective(std::string_view name);

// What one run of the tool does for every size: set by the options.
struct Algorithm {
  const char* name;
  Steps (*steps)(const Work& work);
  Layouts layouts;
};
const Algorithm& AlgorithmOf(const Collective& collective, AlgorithmChoice choice);

// What `rank` contributes: whole numbers from 1 to 1024, so that sums are exact in any order.
float Contribution(int rank, size_t index, uint32_t seed);

}  // namespace relay::perf
