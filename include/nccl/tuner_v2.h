// ncclTunerPlugin_v2: the tuner of NCCL 2.21: it names an algorithm, a protocol and a channel count.
#pragma once
#include "nccl/types.h"

extern "C" {

typedef struct {
  const char* name;
  ncclResult_t (*init)(size_t nRanks, size_t nNodes, ncclDebugLogger_t logFunction, void** context);
  ncclResult_t (*getCollInfo)(void* context, ncclFunc_t collType, size_t nBytes, int collNetSupport, int nvlsSupport,
                              int numPipeOps, int* algorithm, int* protocol, int* nChannels);
  ncclResult_t (*destroy)(void* context);
} ncclTuner_v2_t;
static_assert(sizeof(ncclTuner_v2_t) == 32);
static_assert(offsetof(ncclTuner_v2_t, name) == 0 * sizeof(void*));
static_assert(offsetof(ncclTuner_v2_t, init) == 1 * sizeof(void*));
static_assert(offsetof(ncclTuner_v2_t, getCollInfo) == 2 * sizeof(void*));
static_assert(offsetof(ncclTuner_v2_t, destroy) == 3 * sizeof(void*));

}  // extern "C"
