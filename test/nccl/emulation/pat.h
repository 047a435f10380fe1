// All-gather and reduce-scatter by PAT: carries out a schedule over the connections to the ranks 1, 2, 4 ... away.
// Works in order on the block's fiber; only Simple exists.
#pragma once

#include "emulation/block.h"
#include "emulation/reduce.h"
#include "emulation/share.h"

namespace fakecuda {

struct PatBuffers {
  char *input, *output;  // as the CPU reaches them
};

void RunPatGather(Block& block, PatBuffers buffers, const Share& share, const Reducer& reducer);
void RunPatScatter(Block& block, PatBuffers buffers, const Share& share, const Reducer& reducer);

}  // namespace fakecuda
