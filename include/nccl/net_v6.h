// The net plugin interface ncclNetPlugin_v6, first used by NCCL 2.13.
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
} ncclNetProperties_v6_t;
static_assert(sizeof(ncclNetProperties_v6_t) == 48);
static_assert(offsetof(ncclNetProperties_v6_t, ptrSupport) == 24);
static_assert(offsetof(ncclNetProperties_v6_t, speed) == 28);
static_assert(offsetof(ncclNetProperties_v6_t, port) == 32);
static_assert(offsetof(ncclNetProperties_v6_t, latency) == 36);
static_assert(offsetof(ncclNetProperties_v6_t, maxComms) == 40);
static_assert(offsetof(ncclNetProperties_v6_t, maxRecvs) == 44);

typedef struct {
  const char* name;
  ncclResult_t (*init)(ncclDebugLogger_t logFunction);
  ncclResult_t (*devices)(int* ndev);
  ncclResult_t (*getProperties)(int dev, ncclNetProperties_v6_t* props);
  ncclResult_t (*listen)(int dev, void* handle, void** listenComm);
  ncclResult_t (*connect)(int dev, void* handle, void** sendComm);
  ncclResult_t (*accept)(void* listenComm, void** recvComm);
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
} ncclNet_v6_t;
static_assert(sizeof(ncclNet_v6_t) == 136);
static_assert(offsetof(ncclNet_v6_t, name) == 0 * sizeof(void*));
static_assert(offsetof(ncclNet_v6_t, init) == 1 * sizeof(void*));
static_assert(offsetof(ncclNet_v6_t, devices) == 2 * sizeof(void*));
static_assert(offsetof(ncclNet_v6_t, getProperties) == 3 * sizeof(void*));
static_assert(offsetof(ncclNet_v6_t, listen) == 4 * sizeof(void*));
static_assert(offsetof(ncclNet_v6_t, connect) == 5 * sizeof(void*));
static_assert(offsetof(ncclNet_v6_t, accept) == 6 * sizeof(void*));
static_assert(offsetof(ncclNet_v6_t, regMr) == 7 * sizeof(void*));
static_assert(offsetof(ncclNet_v6_t, regMrDmaBuf) == 8 * sizeof(void*));
static_assert(offsetof(ncclNet_v6_t, deregMr) == 9 * sizeof(void*));
static_assert(offsetof(ncclNet_v6_t, isend) == 10 * sizeof(void*));
static_assert(offsetof(ncclNet_v6_t, irecv) == 11 * sizeof(void*));
static_assert(offsetof(ncclNet_v6_t, iflush) == 12 * sizeof(void*));
static_assert(offsetof(ncclNet_v6_t, test) == 13 * sizeof(void*));
static_assert(offsetof(ncclNet_v6_t, closeSend) == 14 * sizeof(void*));
static_assert(offsetof(ncclNet_v6_t, closeRecv) == 15 * sizeof(void*));
static_assert(offsetof(ncclNet_v6_t, closeListen) == 16 * sizeof(void*));

}  // extern "C"
