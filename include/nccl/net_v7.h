// The net plugin interface ncclNetPlugin_v7, first used by NCCL 2.19. New over v6: device handles.
// Offsets: x86-64 and arm64, LP64.
#pragma once
#include "nccl/types.h"

extern "C" {

typedef struct {
  char* name;
  char* pciPath;
  uint64_t guid;
  int ptrSupport;
  int speed;
  int port;
  float latency;
  int maxComms;
  int maxRecvs;
  int netDeviceType;
  int netDeviceVersion;
} ncclNetProperties_v7_t;
static_assert(sizeof(ncclNetProperties_v7_t) == 56);
static_assert(offsetof(ncclNetProperties_v7_t, ptrSupport) == 24);
static_assert(offsetof(ncclNetProperties_v7_t, speed) == 28);
static_assert(offsetof(ncclNetProperties_v7_t, port) == 32);
static_assert(offsetof(ncclNetProperties_v7_t, latency) == 36);
static_assert(offsetof(ncclNetProperties_v7_t, maxComms) == 40);
static_assert(offsetof(ncclNetProperties_v7_t, maxRecvs) == 44);
static_assert(offsetof(ncclNetProperties_v7_t, netDeviceType) == 48);
static_assert(offsetof(ncclNetProperties_v7_t, netDeviceVersion) == 52);

typedef struct {
  const char* name;
  ncclResult_t (*init)(ncclDebugLogger_t logFunction);
  ncclResult_t (*devices)(int* ndev);
  ncclResult_t (*getProperties)(int dev, ncclNetProperties_v7_t* props);
  ncclResult_t (*listen)(int dev, void* handle, void** listenComm);
  ncclResult_t (*connect)(int dev, void* handle, void** sendComm, ncclNetDeviceHandle_t** sendDevComm);
  ncclResult_t (*accept)(void* listenComm, void** recvComm, ncclNetDeviceHandle_t** recvDevComm);
  ncclResult_t (*regMr)(void* comm, void* data, int size, int type, void** mhandle);
  ncclResult_t (*regMrDmaBuf)(void* comm, void* data, size_t size, int type, uint64_t offset, int fd, void** mhandle);
  ncclResult_t (*deregMr)(void* comm, void* mhandle);
  ncclResult_t (*isend)(void* sendComm, void* data, int size, int tag, void* mhandle, void** request);
  ncclResult_t (*irecv)(void* recvComm, int n, void** data, int* sizes, int* tags, void** mhandles, void** request);
  ncclResult_t (*iflush)(void* recvComm, int n, void** data, int* sizes, void** mhandles, void** request);
  ncclResult_t (*test)(void* request, int* done, int* sizes);
  ncclResult_t (*closeSend)(void* sendComm);
  ncclResult_t (*closeRecv)(void* recvComm);
  ncclResult_t (*closeListen)(void* listenComm);
  ncclResult_t (*getDeviceMr)(void* comm, void* mhandle, void** dptr_mhandle);
  ncclResult_t (*irecvConsumed)(void* recvComm, int n, void* request);
} ncclNet_v7_t;
static_assert(sizeof(ncclNet_v7_t) == 152);
static_assert(offsetof(ncclNet_v7_t, name) == 0 * sizeof(void*));
static_assert(offsetof(ncclNet_v7_t, init) == 1 * sizeof(void*));
static_assert(offsetof(ncclNet_v7_t, devices) == 2 * sizeof(void*));
static_assert(offsetof(ncclNet_v7_t, getProperties) == 3 * sizeof(void*));
static_assert(offsetof(ncclNet_v7_t, listen) == 4 * sizeof(void*));
static_assert(offsetof(ncclNet_v7_t, connect) == 5 * sizeof(void*));
static_assert(offsetof(ncclNet_v7_t, accept) == 6 * sizeof(void*));
static_assert(offsetof(ncclNet_v7_t, regMr) == 7 * sizeof(void*));
static_assert(offsetof(ncclNet_v7_t, regMrDmaBuf) == 8 * sizeof(void*));
static_assert(offsetof(ncclNet_v7_t, deregMr) == 9 * sizeof(void*));
static_assert(offsetof(ncclNet_v7_t, isend) == 10 * sizeof(void*));
static_assert(offsetof(ncclNet_v7_t, irecv) == 11 * sizeof(void*));
static_assert(offsetof(ncclNet_v7_t, iflush) == 12 * sizeof(void*));
static_assert(offsetof(ncclNet_v7_t, test) == 13 * sizeof(void*));
static_assert(offsetof(ncclNet_v7_t, closeSend) == 14 * sizeof(void*));
static_assert(offsetof(ncclNet_v7_t, closeRecv) == 15 * sizeof(void*));
static_assert(offsetof(ncclNet_v7_t, closeListen) == 16 * sizeof(void*));
static_assert(offsetof(ncclNet_v7_t, getDeviceMr) == 17 * sizeof(void*));
static_assert(offsetof(ncclNet_v7_t, irecvConsumed) == 18 * sizeof(void*));

}  // extern "C"
