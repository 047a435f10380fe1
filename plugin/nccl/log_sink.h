// NCCL's own logger as the sink of this library.
#pragma once
#include "nccl/types.h"

namespace relay::nccl {

// NCCL's logger stays callable as long as NCCL is loaded. nullptr is ignored.
void UseNcclLogger(ncclDebugLogger_t logger);

}  // namespace relay::nccl
