// ncclTunerPlugin_v3: the tuner of NCCL 2.22: it changes a table of predicted times (microseconds;
// NCCL_ALGO_PROTO_IGNORE: not available).
#pragma once
#include "nccl/types.h"

extern "C" {

typedef struct {
  const char* name;
  ncclResult_t (*init)(size_t nRanks, size_t nNodes, ncclDebugLogger_t logFunction, void** context);
  ncclResult_t (*getCollInfo)(void* context, ncclFunc_t collType, size_t nBytes, int numPipeOps, float** collCostTable,
                              int numAlgo, int numProto, int* nChannels);
  ncclResult_t (*destroy)(void* context);
} ncclTuner_v3_t;
static_assert(sizeof(ncclTuner_v3_t) == 32);
static_assert(offsetof(ncclTuner_v3_t, name) == 0 * sizeof(void*));
static_assert(offsetof(ncclTuner_v3_t, init) == 1 * sizeof(void*));
static_assert(offsetof(ncclTuner_v3_t, getCollInfo) == 2 * sizeof(void*));
static_assert(offsetof(ncclTuner_v3_t, destroy) == 3 * sizeof(void*));

}  // extern "C"
