// ncclTunerPlugin_v5: the tuner of NCCL 2.28. New over v4: NVLink domains, and constants that it may change.
#pragma once
#include "nccl/types.h"

extern "C" {

typedef struct {
  int nNvlDomains;
  int minRanksPerNvlDomain;
  int maxRanksPerNvlDomain;
} ncclNvlDomainInfo_v5_t;
static_assert(sizeof(ncclNvlDomainInfo_v5_t) == 12);

// By algorithm, protocol, and kind of hardware (NVLink, PCIe, net) or GPU generation.
typedef struct {
  double baseLatencies[NCCL_NUM_ALGORITHMS][NCCL_NUM_PROTOCOLS];
  double hwLatencies[3][NCCL_NUM_ALGORITHMS][NCCL_NUM_PROTOCOLS];
  double llMaxBws[4][3];
  double perChMaxRingLL128Bws[4][3];
  double perChMaxTreeLL128Bws[4][3];
  double perChMaxTreeBws[4][3];
  double perChMaxNVLSTreeBws[4][3];
} ncclTunerConstants_v5_t;
static_assert(sizeof(ncclTunerConstants_v5_t) == 1152);
static_assert(offsetof(ncclTunerConstants_v5_t, hwLatencies) == 168);
static_assert(offsetof(ncclTunerConstants_v5_t, llMaxBws) == 672);
static_assert(offsetof(ncclTunerConstants_v5_t, perChMaxRingLL128Bws) == 768);
static_assert(offsetof(ncclTunerConstants_v5_t, perChMaxTreeLL128Bws) == 864);
static_assert(offsetof(ncclTunerConstants_v5_t, perChMaxTreeBws) == 960);
static_assert(offsetof(ncclTunerConstants_v5_t, perChMaxNVLSTreeBws) == 1056);

typedef struct {
  const char* name;
  ncclResult_t (*init)(void** ctx, uint64_t commId, size_t nRanks, size_t nNodes, ncclDebugLogger_t logFunction,
                       ncclNvlDomainInfo_v5_t* nvlDomainInfo, ncclTunerConstants_v5_t* constants);
  ncclResult_t (*getCollInfo)(void* context, ncclFunc_t collType, size_t nBytes, int numPipeOps, float** collCostTable,
                              int numAlgo, int numProto, int regBuff, int* nChannels);
  ncclResult_t (*finalize)(void* context);
} ncclTuner_v5_t;
static_assert(sizeof(ncclTuner_v5_t) == 32);
static_assert(offsetof(ncclTuner_v5_t, name) == 0 * sizeof(void*));
static_assert(offsetof(ncclTuner_v5_t, init) == 1 * sizeof(void*));
static_assert(offsetof(ncclTuner_v5_t, getCollInfo) == 2 * sizeof(void*));
static_assert(offsetof(ncclTuner_v5_t, finalize) == 3 * sizeof(void*));

}  // extern "C"
