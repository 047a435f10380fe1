// What the slots of NCCL's tables point to: one overload per signature that any version has. Those of the newest
// version do the work, through comm; the others only cast. Versions without a context (v6 to v10) share the process's.
// Assigning an overloaded name to a slot picks the overload.
#pragma once
#include <optional>

#include "comm/device.h"
#include "nccl/net_v12.h"
#include "relay/frame.h"

namespace relay::nccl {

ncclResult_t Init(void** ctx, uint64_t, ncclNetCommConfig_v12_t*, ncclDebugLogger_t logger, ncclProfilerCallback_t);
ncclResult_t Init(ncclDebugLogger_t logger, ncclProfilerCallback_t);
ncclResult_t Init(ncclDebugLogger_t logger);
ncclResult_t Finalize(void* ctx);

ncclResult_t Devices(int* count);
// The device, or the error that NCCL gets.
ncclResult_t FindDevice(int dev, std::optional<comm::Device>& device);

ncclResult_t Listen(void* ctx, int dev, void* handle, void** listen_comm);
ncclResult_t Listen(int dev, void* handle, void** listen_comm);
ncclResult_t Connect(void* ctx, int dev, void* handle, void** send_comm, ncclNetDeviceHandle_t**);
ncclResult_t Connect(int dev, ncclNetCommConfig_v10_t*, void* handle, void** send_comm, ncclNetDeviceHandle_t**);
ncclResult_t Connect(int dev, void* handle, void** send_comm, ncclNetDeviceHandle_t**);
ncclResult_t Connect(int dev, void* handle, void** send_comm);
ncclResult_t Accept(void* listen_comm, void** recv_comm, ncclNetDeviceHandle_t**);
ncclResult_t Accept(void* listen_comm, void** recv_comm);

ncclResult_t RegMr(void* comm, void* data, size_t size, int type, void** mhandle);
ncclResult_t RegMr(void* comm, void* data, int size, int type, void** mhandle);
ncclResult_t RegMrDmaBuf(void* comm, void* data, size_t size, int type, uint64_t offset, int fd, void** mhandle);
ncclResult_t DeregMr(void* comm, void* mhandle);

ncclResult_t Isend(void* comm, void* data, size_t size, int, void* mhandle, void*, void** request);
ncclResult_t Isend(void* comm, void* data, size_t size, int, void* mhandle, void** request);
ncclResult_t Isend(void* comm, void* data, int size, int, void* mhandle, void** request);
ncclResult_t Irecv(void* comm, int n, void** data, size_t* sizes, int*, void** mhandles, void**, void** request);
ncclResult_t Irecv(void* comm, int n, void** data, size_t* sizes, int*, void** mhandles, void** request);
ncclResult_t Irecv(void* comm, int n, void** data, int* sizes, int*, void** mhandles, void** request);
ncclResult_t Iflush(void* comm, int n, void** data, int* sizes, void** mhandles, void** request);
ncclResult_t Test(void* request, int* done, int* size);

ncclResult_t CloseSend(void* comm);
ncclResult_t CloseRecv(void* comm);
ncclResult_t CloseListen(void* listen_comm);

inline int PointerKinds(const comm::Device& device) {
  return NCCL_PTR_HOST | (device.gpu.peermem ? NCCL_PTR_CUDA : 0) | (device.gpu.dma_buf ? NCCL_PTR_DMABUF : 0);
}

// NCCL passes a struct with garbage in it, and reads every field that its version has.
template <class Properties>
ncclResult_t GetProperties(int dev, Properties* props) {
  std::optional<comm::Device> device;
  if (ncclResult_t result = FindDevice(dev, device); result != ncclSuccess) return result;
  *props = {};
  props->name = device->name;
  props->pciPath = device->pci_path;
  props->guid = device->guid;
  props->ptrSupport = PointerKinds(*device);
  props->speed = device->speed_mbit;
  props->maxComms = 1 << 20;
  props->maxRecvs = 1;
  if constexpr (requires { props->netDeviceType; }) {
    props->netDeviceType = NCCL_NET_DEVICE_HOST;
    props->netDeviceVersion = NCCL_NET_DEVICE_INVALID_VERSION;
  }
  if constexpr (requires { props->vProps; }) {
    props->vProps = {.ndevs = 1, .devs = {dev}};
    props->maxP2pBytes = kMaxMessageBytes;
    props->maxCollBytes = kMaxMessageBytes;
  }
  if constexpr (requires { props->maxMultiRequestSize; }) props->maxMultiRequestSize = 1;
  if constexpr (requires { props->railId; }) props->railId = props->planeId = NCCL_NET_ID_UNDEF;
  return ncclSuccess;
}

}  // namespace relay::nccl
