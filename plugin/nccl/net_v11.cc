// ncclNetPlugin_v11: what NCCL 2.28 calls. Casts only; the work is comm's.
#include "nccl/net_v11.h"

#include <unistd.h>
#include <cstdlib>
#include <memory>

#include "comm/context.h"
#include "comm/device.h"
#include "nccl/guard.h"
#include "nccl/log_sink.h"
#include "relay/frame.h"

namespace relay::nccl {
namespace {

using comm::Comm;
using comm::Context;
using comm::ListenComm;
using comm::MemoryRegion;
using stream::Request;

ncclResult_t Init(void** ctx, uint64_t, ncclNetCommConfig_v11_t*, ncclDebugLogger_t logger, ncclProfilerCallback_t) {
  *ctx = nullptr;
  UseNcclLogger(logger);
  return Guard("init", [&]() -> Status {
    auto context = Context::Create([](const char* name) { return std::getenv(name); }, environ);
    if (!context) return tl::unexpected(std::move(context).error());
    *ctx = context->release();
    return {};
  });
}

ncclResult_t Devices(int* count) {
  *count = comm::DeviceCount();
  return ncclSuccess;
}

ncclResult_t GetProperties(int dev, ncclNetProperties_v11_t* props) {
  return Guard("getProperties", [&]() -> Status {
    auto device = comm::DeviceAt(dev);
    if (!device) return Fail(ErrorCode::kInternal, "there is no device " + std::to_string(dev));
    *props = {};
    props->name = device->name;
    props->pciPath = device->pci_path;
    props->guid = device->guid;
    props->ptrSupport = NCCL_PTR_HOST;
    props->speed = device->speed_mbit;
    props->maxComms = 1 << 20;
    props->maxRecvs = 1;
    props->netDeviceType = NCCL_NET_DEVICE_HOST;
    props->netDeviceVersion = NCCL_NET_DEVICE_INVALID_VERSION;
    props->vProps = {.ndevs = 1, .devs = {dev}};
    props->maxP2pBytes = kMaxMessageBytes;
    props->maxCollBytes = kMaxMessageBytes;
    props->maxMultiRequestSize = 1;
    return {};
  });
}

ncclResult_t Listen(void* ctx, int, void* handle, void** listen_comm) {
  *listen_comm = nullptr;
  return Guard("listen", [&]() -> Status {
    std::span<std::byte, comm::kHandleBytes> bytes(static_cast<std::byte*>(handle), comm::kHandleBytes);
    auto listen = static_cast<Context*>(ctx)->Listen(bytes);
    if (!listen) return tl::unexpected(std::move(listen).error());
    *listen_comm = *listen;
    return {};
  });
}

ncclResult_t Connect(void* ctx, int, void* handle, void** send_comm, ncclNetDeviceHandle_v11_t**) {
  *send_comm = nullptr;
  return Guard("connect", [&]() -> Status {
    std::span<const std::byte, comm::kHandleBytes> bytes(static_cast<std::byte*>(handle), comm::kHandleBytes);
    auto comm = static_cast<Context*>(ctx)->Connect(bytes);
    if (!comm) return tl::unexpected(std::move(comm).error());
    *send_comm = *comm;
    return {};
  });
}

ncclResult_t Accept(void* listen_comm, void** recv_comm, ncclNetDeviceHandle_v11_t**) {
  *recv_comm = nullptr;
  return Guard("accept", [&]() -> Status {
    auto* listen = static_cast<ListenComm*>(listen_comm);
    auto comm = listen->context.Accept(*listen);
    if (!comm) return tl::unexpected(std::move(comm).error());
    *recv_comm = *comm;
    return {};
  });
}

ncclResult_t RegMr(void* comm, void* data, size_t size, int type, void** mhandle) {
  return Guard("regMr", [&]() -> Status {
    auto region = static_cast<Comm*>(comm)->Register(data, size, type);
    if (!region) return tl::unexpected(std::move(region).error());
    *mhandle = *region;
    return {};
  });
}

ncclResult_t DeregMr(void* comm, void* mhandle) {
  return Guard("deregMr", [&]() -> Status {
    static_cast<Comm*>(comm)->Deregister(static_cast<MemoryRegion*>(mhandle));
    return {};
  });
}

Status Post(void* comm, void* data, size_t size, void* mhandle, bool in_order, void** request) {
  auto posted = static_cast<Comm*>(comm)->Post(data, size, static_cast<MemoryRegion*>(mhandle), in_order);
  if (!posted) return tl::unexpected(std::move(posted).error());
  *request = *posted;
  return {};
}

ncclResult_t Isend(void* send_comm, void* data, size_t size, int, void* mhandle, void*, void** request) {
  *request = nullptr;
  return Guard("isend", [&] { return Post(send_comm, data, size, mhandle, false, request); });
}

ncclResult_t Irecv(void* recv_comm, int n, void** data, size_t* sizes, int*, void** mhandles, void**, void** request) {
  // With the hint, NCCL's kernel sees the data arrive by flags inside it.
  bool in_order = *request == reinterpret_cast<void*>(NCCL_NET_OPTIONAL_RECV_COMPLETION);
  *request = nullptr;
  return Guard("irecv", [&]() -> Status {
    if (n != 1) return Fail(ErrorCode::kInternal, "a receive of " + std::to_string(n) + " buffers, maxRecvs is 1");
    return Post(recv_comm, data[0], sizes[0], mhandles == nullptr ? nullptr : mhandles[0], in_order, request);
  });
}

// Placement into host memory needs no flush.
ncclResult_t Iflush(void*, int, void**, int*, void**, void** request) {
  *request = nullptr;
  return ncclSuccess;
}

ncclResult_t Test(void* request, int* done, int* size) {
  *done = 0;
  return Guard("test", [&]() -> Status {
    auto* r = static_cast<Request*>(request);
    uint64_t bytes = 0;
    auto progress = r->stream->Test(*r, bytes);
    if (!progress) return tl::unexpected(std::move(progress).error());
    if (*progress == Progress::kAgain) return {};
    *done = 1;
    if (size != nullptr) *size = static_cast<int>(bytes);
    return {};
  });
}

ncclResult_t CloseComm(const char* entry, void* comm) {
  return Guard(entry, [&]() -> Status {
    if (auto* c = static_cast<Comm*>(comm)) c->context().Close(c);
    return {};
  });
}
ncclResult_t CloseSend(void* comm) { return CloseComm("closeSend", comm); }
ncclResult_t CloseRecv(void* comm) { return CloseComm("closeRecv", comm); }

ncclResult_t CloseListen(void* comm) {
  return Guard("closeListen", [&]() -> Status {
    if (auto* listen = static_cast<ListenComm*>(comm)) listen->context.CloseListen(listen);
    return {};
  });
}

// NCCL also calls this after an init that failed, with no context.
ncclResult_t Finalize(void* ctx) {
  return Guard("finalize", [&]() -> Status {
    std::unique_ptr<Context> last(static_cast<Context*>(ctx));
    return {};
  });
}

}  // namespace
}  // namespace relay::nccl

extern "C" {
extern const ncclNet_v11_t ncclNetPlugin_v11 __attribute__((visibility("default")));
const ncclNet_v11_t ncclNetPlugin_v11 = {
    .name = "Relay",
    .init = relay::nccl::Init,
    .devices = relay::nccl::Devices,
    .getProperties = relay::nccl::GetProperties,
    .listen = relay::nccl::Listen,
    .connect = relay::nccl::Connect,
    .accept = relay::nccl::Accept,
    .regMr = relay::nccl::RegMr,
    .regMrDmaBuf = nullptr,
    .deregMr = relay::nccl::DeregMr,
    .isend = relay::nccl::Isend,
    .irecv = relay::nccl::Irecv,
    .iflush = relay::nccl::Iflush,
    .test = relay::nccl::Test,
    .closeSend = relay::nccl::CloseSend,
    .closeRecv = relay::nccl::CloseRecv,
    .closeListen = relay::nccl::CloseListen,
    .getDeviceMr = nullptr,
    .irecvConsumed = nullptr,
    .makeVDevice = nullptr,
    .finalize = relay::nccl::Finalize,
    .setNetAttr = nullptr,
};
}
