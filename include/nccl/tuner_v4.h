// ncclTunerPlugin_v4: the tuner of NCCL 2.24. New over v3: whether buffers are registered.
#pragma once
#include "nccl/types.h"

extern "C" {

typedef struct {
  const char* name;
  ncclResult_t (*init)(size_t nRanks, size_t nNodes, ncclDebugLogger_t logFunction, void** context);
  ncclResult_t (*getCollInfo)(void* context, ncclFunc_t collType, size_t nBytes, int numPipeOps, float** collCostTable,
                              int numAlgo, int numProto, int regBuff, int* nChannels);
  ncclResult_t (*destroy)(void* context);
} ncclTuner_v4_t;
static_assert(sizeof(ncclTuner_v4_t) == 32);
static_assert(offsetof(ncclTuner_v4_t, name) == 0 * sizeof(void*));
static_assert(offsetof(ncclTuner_v4_t, init) == 1 * sizeof(void*));
static_assert(offsetof(ncclTuner_v4_t, getCollInfo) == 2 * sizeof(void*));
static_assert(offsetof(ncclTuner_v4_t, destroy) == 3 * sizeof(void*));

}  // extern "C"
