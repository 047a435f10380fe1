// ncclTunerPlugin_v6: the tuner of NCCL 2.30. New over v5: chunk sizes.
#pragma once
#include "nccl/tuner_v5.h"

extern "C" {

typedef ncclNvlDomainInfo_v5_t ncclNvlDomainInfo_v6_t;
typedef ncclTunerConstants_v5_t ncclTunerConstants_v6_t;

typedef struct {
  const char* name;
  ncclResult_t (*init)(void** ctx, uint64_t commId, size_t nRanks, size_t nNodes, ncclDebugLogger_t logFunction,
                       ncclNvlDomainInfo_v6_t* nvlDomainInfo, ncclTunerConstants_v6_t* constants);
  ncclResult_t (*getCollInfo)(void* context, ncclFunc_t collType, size_t nBytes, int numPipeOps, float** collCostTable,
                              int numAlgo, int numProto, int regBuff, int* nChannels);
  ncclResult_t (*finalize)(void* context);
  ncclResult_t (*getChunkSize)(void* context, ncclFunc_t collType, size_t nBytes, int algorithm, int protocol,
                               int nChannels, size_t* chunkSize);
} ncclTuner_v6_t;
static_assert(sizeof(ncclTuner_v6_t) == 40);
static_assert(offsetof(ncclTuner_v6_t, name) == 0 * sizeof(void*));
static_assert(offsetof(ncclTuner_v6_t, init) == 1 * sizeof(void*));
static_assert(offsetof(ncclTuner_v6_t, getCollInfo) == 2 * sizeof(void*));
static_assert(offsetof(ncclTuner_v6_t, finalize) == 3 * sizeof(void*));
static_assert(offsetof(ncclTuner_v6_t, getChunkSize) == 4 * sizeof(void*));

}  // extern "C"
