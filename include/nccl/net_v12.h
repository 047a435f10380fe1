// The net plugin interface ncclNetPlugin_v12, first used by NCCL 2.30. New over v11: rails and planes, eight devices in
// a fused one. Offsets: x86-64 and arm64, LP64.
#pragma once
#include "nccl/net_v11.h"

extern "C" {

typedef struct {
  int ndevs;
  int devs[8];
} ncclNetVDeviceProps_v12_t;
static_assert(sizeof(ncclNetVDeviceProps_v12_t) == 36);
static_assert(offsetof(ncclNetVDeviceProps_v12_t, devs) == 4);

typedef ncclNetCommConfig_v11_t ncclNetCommConfig_v12_t;
typedef ncclNetCommAttr_v11_t ncclNetCommAttr_v12_t;
typedef ncclNetAttr_v11_t ncclNetAttr_v12_t;

typedef struct {
  char* name;
  char* pciPath;
  uint64_t guid;
  int ptrSupport;
  int regIsGlobal;
  int forceFlush;
  int speed;
  int port;
  float latency;
  int maxComms;
  int maxRecvs;
  int netDeviceType;
  int netDeviceVersion;
  ncclNetVDeviceProps_v12_t vProps;
  size_t maxP2pBytes;
  size_t maxCollBytes;
  int maxMultiRequestSize;
  int16_t railId;
  int16_t planeId;
} ncclNetProperties_v12_t;
static_assert(sizeof(ncclNetProperties_v12_t) == 128);
static_assert(offsetof(ncclNetProperties_v12_t, ptrSupport) == 24);
static_assert(offsetof(ncclNetProperties_v12_t, regIsGlobal) == 28);
static_assert(offsetof(ncclNetProperties_v12_t, forceFlush) == 32);
static_assert(offsetof(ncclNetProperties_v12_t, speed) == 36);
static_assert(offsetof(ncclNetProperties_v12_t, port) == 40);
static_assert(offsetof(ncclNetProperties_v12_t, latency) == 44);
static_assert(offsetof(ncclNetProperties_v12_t, maxComms) == 48);
static_assert(offsetof(ncclNetProperties_v12_t, maxRecvs) == 52);
static_assert(offsetof(ncclNetProperties_v12_t, netDeviceType) == 56);
static_assert(offsetof(ncclNetProperties_v12_t, netDeviceVersion) == 60);
static_assert(offsetof(ncclNetProperties_v12_t, vProps) == 64);
static_assert(offsetof(ncclNetProperties_v12_t, maxP2pBytes) == 104);
static_assert(offsetof(ncclNetProperties_v12_t, maxCollBytes) == 112);
static_assert(offsetof(ncclNetProperties_v12_t, maxMultiRequestSize) == 120);
static_assert(offsetof(ncclNetProperties_v12_t, railId) == 124);
static_assert(offsetof(ncclNetProperties_v12_t, planeId) == 126);

typedef struct {
  const char* name;
  ncclResult_t (*init)(void** ctx, uint64_t commId, ncclNetCommConfig_v12_t* config, ncclDebugLogger_t logFunction,
                       ncclProfilerCallback_t profFunction);
  ncclResult_t (*devices)(int* ndev);
  ncclResult_t (*getProperties)(int dev, ncclNetProperties_v12_t* props);
  ncclResult_t (*listen)(void* ctx, int dev, void* handle, void** listenComm);
  ncclResult_t (*connect)(void* ctx, int dev, void* handle, void** sendComm, ncclNetDeviceHandle_t** sendDevComm);
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
  ncclResult_t (*makeVDevice)(int* d, ncclNetVDeviceProps_v12_t* props);
  ncclResult_t (*finalize)(void* ctx);
  ncclResult_t (*setNetAttr)(void* ctx, ncclNetAttr_v12_t* attr);
} ncclNet_v12_t;
static_assert(sizeof(ncclNet_v12_t) == 176);
static_assert(offsetof(ncclNet_v12_t, name) == 0 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, init) == 1 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, devices) == 2 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, getProperties) == 3 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, listen) == 4 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, connect) == 5 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, accept) == 6 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, regMr) == 7 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, regMrDmaBuf) == 8 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, deregMr) == 9 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, isend) == 10 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, irecv) == 11 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, iflush) == 12 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, test) == 13 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, closeSend) == 14 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, closeRecv) == 15 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, closeListen) == 16 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, getDeviceMr) == 17 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, irecvConsumed) == 18 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, makeVDevice) == 19 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, finalize) == 20 * sizeof(void*));
static_assert(offsetof(ncclNet_v12_t, setNetAttr) == 21 * sizeof(void*));

}  // extern "C"
