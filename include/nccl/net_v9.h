// The net plugin interface ncclNetPlugin_v9, first used by NCCL 2.24. New over v8: 64-bit message sizes, forced
// flushes, fused devices, the optional completion of receives. Offsets: x86-64 and arm64, LP64.
#pragma once
#include "nccl/types.h"

extern "C" {

typedef struct {
  int ndevs;
  int devs[4];
} ncclNetVDeviceProps_v9_t;
static_assert(sizeof(ncclNetVDeviceProps_v9_t) == 20);
static_assert(offsetof(ncclNetVDeviceProps_v9_t, devs) == 4);

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
  ncclNetVDeviceProps_v9_t vProps;
  size_t maxP2pBytes;
  size_t maxCollBytes;
} ncclNetProperties_v9_t;
static_assert(sizeof(ncclNetProperties_v9_t) == 104);
static_assert(offsetof(ncclNetProperties_v9_t, ptrSupport) == 24);
static_assert(offsetof(ncclNetProperties_v9_t, regIsGlobal) == 28);
static_assert(offsetof(ncclNetProperties_v9_t, forceFlush) == 32);
static_assert(offsetof(ncclNetProperties_v9_t, speed) == 36);
static_assert(offsetof(ncclNetProperties_v9_t, port) == 40);
static_assert(offsetof(ncclNetProperties_v9_t, latency) == 44);
static_assert(offsetof(ncclNetProperties_v9_t, maxComms) == 48);
static_assert(offsetof(ncclNetProperties_v9_t, maxRecvs) == 52);
static_assert(offsetof(ncclNetProperties_v9_t, netDeviceType) == 56);
static_assert(offsetof(ncclNetProperties_v9_t, netDeviceVersion) == 60);
static_assert(offsetof(ncclNetProperties_v9_t, vProps) == 64);
static_assert(offsetof(ncclNetProperties_v9_t, maxP2pBytes) == 88);
static_assert(offsetof(ncclNetProperties_v9_t, maxCollBytes) == 96);

typedef struct {
  const char* name;
  ncclResult_t (*init)(ncclDebugLogger_t logFunction);
  ncclResult_t (*devices)(int* ndev);
  ncclResult_t (*getProperties)(int dev, ncclNetProperties_v9_t* props);
  ncclResult_t (*listen)(int dev, void* handle, void** listenComm);
  ncclResult_t (*connect)(int dev, void* handle, void** sendComm, ncclNetDeviceHandle_t** sendDevComm);
  ncclResult_t (*accept)(void* listenComm, void** recvComm, ncclNetDeviceHandle_t** recvDevComm);
  ncclResult_t (*regMr)(void* comm, void* data, size_t size, int type, void** mhandle);
  ncclResult_t (*regMrDmaBuf)(void* comm, void* data, size_t size, int type, uint64_t offset, int fd, void** mhandle);
  ncclResult_t (*deregMr)(void* comm, void* mhandle);
  ncclResult_t (*isend)(void* sendComm, void* data, size_t size, int tag, void* mhandle, void** request);
  ncclResult_t (*irecv)(void* recvComm, int n, void** data, size_t* sizes, int* tags, void** mhandles, void** request);
  ncclResult_t (*iflush)(void* recvComm, int n, void** data, int* sizes, void** mhandles, void** request);
  ncclResult_t (*test)(void* request, int* done, int* sizes);
  ncclResult_t (*closeSend)(void* sendComm);
  ncclResult_t (*closeRecv)(void* recvComm);
  ncclResult_t (*closeListen)(void* listenComm);
  ncclResult_t (*getDeviceMr)(void* comm, void* mhandle, void** dptr_mhandle);
  ncclResult_t (*irecvConsumed)(void* recvComm, int n, void* request);
  ncclResult_t (*makeVDevice)(int* d, ncclNetVDeviceProps_v9_t* props);
} ncclNet_v9_t;
static_assert(sizeof(ncclNet_v9_t) == 160);
static_assert(offsetof(ncclNet_v9_t, name) == 0 * sizeof(void*));
static_assert(offsetof(ncclNet_v9_t, init) == 1 * sizeof(void*));
static_assert(offsetof(ncclNet_v9_t, devices) == 2 * sizeof(void*));
static_assert(offsetof(ncclNet_v9_t, getProperties) == 3 * sizeof(void*));
static_assert(offsetof(ncclNet_v9_t, listen) == 4 * sizeof(void*));
static_assert(offsetof(ncclNet_v9_t, connect) == 5 * sizeof(void*));
static_assert(offsetof(ncclNet_v9_t, accept) == 6 * sizeof(void*));
static_assert(offsetof(ncclNet_v9_t, regMr) == 7 * sizeof(void*));
static_assert(offsetof(ncclNet_v9_t, regMrDmaBuf) == 8 * sizeof(void*));
static_assert(offsetof(ncclNet_v9_t, deregMr) == 9 * sizeof(void*));
static_assert(offsetof(ncclNet_v9_t, isend) == 10 * sizeof(void*));
static_assert(offsetof(ncclNet_v9_t, irecv) == 11 * sizeof(void*));
static_assert(offsetof(ncclNet_v9_t, iflush) == 12 * sizeof(void*));
static_assert(offsetof(ncclNet_v9_t, test) == 13 * sizeof(void*));
static_assert(offsetof(ncclNet_v9_t, closeSend) == 14 * sizeof(void*));
static_assert(offsetof(ncclNet_v9_t, closeRecv) == 15 * sizeof(void*));
static_assert(offsetof(ncclNet_v9_t, closeListen) == 16 * sizeof(void*));
static_assert(offsetof(ncclNet_v9_t, getDeviceMr) == 17 * sizeof(void*));
static_assert(offsetof(ncclNet_v9_t, irecvConsumed) == 18 * sizeof(void*));
static_assert(offsetof(ncclNet_v9_t, makeVDevice) == 19 * sizeof(void*));

}  // extern "C"
