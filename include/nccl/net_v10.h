// The net plugin interface ncclNetPlugin_v10, first used by NCCL 2.26. New over v9: the profiler, a configuration for
// connect. Offsets: x86-64 and arm64, LP64.
#pragma once
#include "nccl/net_v9.h"

extern "C" {

typedef ncclNetVDeviceProps_v9_t ncclNetVDeviceProps_v10_t;
typedef ncclNetProperties_v9_t ncclNetProperties_v10_t;

typedef struct {
  int trafficClass;
} ncclNetCommConfig_v10_t;
static_assert(sizeof(ncclNetCommConfig_v10_t) == 4);

typedef struct {
  const char* name;
  ncclResult_t (*init)(ncclDebugLogger_t logFunction, ncclProfilerCallback_t profFunction);
  ncclResult_t (*devices)(int* ndev);
  ncclResult_t (*getProperties)(int dev, ncclNetProperties_v10_t* props);
  ncclResult_t (*listen)(int dev, void* handle, void** listenComm);
  ncclResult_t (*connect)(int dev, ncclNetCommConfig_v10_t* config, void* handle, void** sendComm,
                          ncclNetDeviceHandle_t** sendDevComm);
  ncclResult_t (*accept)(void* listenComm, void** recvComm, ncclNetDeviceHandle_t** recvDevComm);
  ncclResult_t (*regMr)(void* comm, void* data, size_t size, int type, void** mhandle);
  ncclResult_t (*regMrDmaBuf)(void* comm, void* data, size_t size, int type, uint64_t offset, int fd, void** mhandle);
  ncclResult_t (*deregMr)(void* comm, void* mhandle);
  ncclResult_t (*isend)(void* sendComm, void* data, size_t size, int tag, void* mhandle, void* phandle, void** request);
  ncclResult_t (*irecv)(void* recvComm, int n, void** data, size_t* sizes, int* tags, void** mhandles, void** phandles,
                        void** request);
  ncclResult_t (*iflush)(void* recvComm, int n, void** data, int* sizes, void** mhandles, void** request);
  ncclResult_t (*test)(void* request, int* done, int* sizes);
  ncclResult_t (*closeSend)(void* sendComm);
  ncclResult_t (*closeRecv)(void* recvComm);
  ncclResult_t (*closeListen)(void* listenComm);
  ncclResult_t (*getDeviceMr)(void* comm, void* mhandle, void** dptr_mhandle);
  ncclResult_t (*irecvConsumed)(void* recvComm, int n, void* request);
  ncclResult_t (*makeVDevice)(int* d, ncclNetVDeviceProps_v10_t* props);
} ncclNet_v10_t;
static_assert(sizeof(ncclNet_v10_t) == 160);
static_assert(offsetof(ncclNet_v10_t, name) == 0 * sizeof(void*));
static_assert(offsetof(ncclNet_v10_t, init) == 1 * sizeof(void*));
static_assert(offsetof(ncclNet_v10_t, devices) == 2 * sizeof(void*));
static_assert(offsetof(ncclNet_v10_t, getProperties) == 3 * sizeof(void*));
static_assert(offsetof(ncclNet_v10_t, listen) == 4 * sizeof(void*));
static_assert(offsetof(ncclNet_v10_t, connect) == 5 * sizeof(void*));
static_assert(offsetof(ncclNet_v10_t, accept) == 6 * sizeof(void*));
static_assert(offsetof(ncclNet_v10_t, regMr) == 7 * sizeof(void*));
static_assert(offsetof(ncclNet_v10_t, regMrDmaBuf) == 8 * sizeof(void*));
static_assert(offsetof(ncclNet_v10_t, deregMr) == 9 * sizeof(void*));
static_assert(offsetof(ncclNet_v10_t, isend) == 10 * sizeof(void*));
static_assert(offsetof(ncclNet_v10_t, irecv) == 11 * sizeof(void*));
static_assert(offsetof(ncclNet_v10_t, iflush) == 12 * sizeof(void*));
static_assert(offsetof(ncclNet_v10_t, test) == 13 * sizeof(void*));
static_assert(offsetof(ncclNet_v10_t, closeSend) == 14 * sizeof(void*));
static_assert(offsetof(ncclNet_v10_t, closeRecv) == 15 * sizeof(void*));
static_assert(offsetof(ncclNet_v10_t, closeListen) == 16 * sizeof(void*));
static_assert(offsetof(ncclNet_v10_t, getDeviceMr) == 17 * sizeof(void*));
static_assert(offsetof(ncclNet_v10_t, irecvConsumed) == 18 * sizeof(void*));
static_assert(offsetof(ncclNet_v10_t, makeVDevice) == 19 * sizeof(void*));

}  // extern "C"
