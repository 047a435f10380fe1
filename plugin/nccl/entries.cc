#include "nccl/entries.h"

#include <unistd.h>
#include <cstdlib>
#include <memory>

#include "comm/context.h"
#include "comm/shared_context.h"
#include "nccl/guard.h"
#include "nccl/log_sink.h"

namespace relay::nccl {
namespace {

using comm::Comm;
using comm::Context;
using comm::ListenComm;
using comm::MemoryRegion;
using stream::Request;

static_assert(kMaxRequests == NCCL_NET_MAX_REQUESTS);

const char* GetEnvironment(const char* name) { return std::getenv(name); }

Status Post(void* comm, void* data, size_t size, void* mhandle, bool in_order, void** request) {
  auto posted = static_cast<Comm*>(comm)->Post(data, size, static_cast<MemoryRegion*>(mhandle), in_order);
  RELAY_TRY(posted);
  *request = *posted;
  return {};
}

ncclResult_t CloseComm(const char* entry, void* comm) {
  return GuardEnd(entry, [&] {
    if (auto* c = static_cast<Comm*>(comm)) c->context().Close(c);
  });
}

}  // namespace

ncclResult_t Init(void** ctx, uint64_t, ncclNetCommConfig_v12_t*, ncclDebugLogger_t logger, ncclProfilerCallback_t) {
  *ctx = nullptr;
  UseNcclLogger(logger);
  return Guard("init", [&]() -> Status {
    auto context = Context::Create(GetEnvironment, environ);
    RELAY_TRY(context);
    *ctx = context->release();
    return {};
  });
}

ncclResult_t Init(ncclDebugLogger_t logger) {
  UseNcclLogger(logger);
  return Guard("init", [] { return comm::StartSharedContext(GetEnvironment, environ); });
}

ncclResult_t Init(ncclDebugLogger_t logger, ncclProfilerCallback_t) { return Init(logger); }

// NCCL also calls this after an init that failed, with no context.
ncclResult_t Finalize(void* ctx) {
  return GuardEnd("finalize", [&] { std::unique_ptr<Context> last(static_cast<Context*>(ctx)); });
}

ncclResult_t Devices(int* count) {
  *count = comm::DeviceCount();
  return ncclSuccess;
}

ncclResult_t FindDevice(int dev, std::optional<comm::Device>& device) {
  return Guard("getProperties", [&]() -> Status {
    device = comm::DeviceAt(dev);
    if (!device) return Fail(ErrorCode::kInternal, "there is no device " + std::to_string(dev));
    return {};
  });
}

ncclResult_t Listen(void* ctx, int, void* handle, void** listen_comm) {
  *listen_comm = nullptr;
  return Guard("listen", [&]() -> Status {
    std::span<std::byte, comm::kHandleBytes> bytes(static_cast<std::byte*>(handle), comm::kHandleBytes);
    auto listen = static_cast<Context*>(ctx)->Listen(bytes);
    RELAY_TRY(listen);
    *listen_comm = *listen;
    return {};
  });
}

ncclResult_t Listen(int dev, void* handle, void** listen_comm) {
  return Listen(comm::SharedContext(), dev, handle, listen_comm);
}

ncclResult_t Connect(void* ctx, int, void* handle, void** send_comm, ncclNetDeviceHandle_t**) {
  *send_comm = nullptr;
  return Guard("connect", [&]() -> Status {
    std::span<const std::byte, comm::kHandleBytes> bytes(static_cast<std::byte*>(handle), comm::kHandleBytes);
    auto comm = static_cast<Context*>(ctx)->Connect(bytes);
    RELAY_TRY(comm);
    *send_comm = *comm;
    return {};
  });
}

ncclResult_t Connect(int dev, ncclNetCommConfig_v10_t*, void* handle, void** send_comm,
                     ncclNetDeviceHandle_t** device) {
  return Connect(comm::SharedContext(), dev, handle, send_comm, device);
}

ncclResult_t Connect(int dev, void* handle, void** send_comm, ncclNetDeviceHandle_t** device) {
  return Connect(comm::SharedContext(), dev, handle, send_comm, device);
}

ncclResult_t Connect(int dev, void* handle, void** send_comm) {
  return Connect(comm::SharedContext(), dev, handle, send_comm, nullptr);
}

ncclResult_t Accept(void* listen_comm, void** recv_comm, ncclNetDeviceHandle_t**) {
  *recv_comm = nullptr;
  return Guard("accept", [&]() -> Status {
    auto* listen = static_cast<ListenComm*>(listen_comm);
    auto comm = listen->context.Accept(*listen);
    RELAY_TRY(comm);
    *recv_comm = *comm;
    return {};
  });
}

ncclResult_t Accept(void* listen_comm, void** recv_comm) { return Accept(listen_comm, recv_comm, nullptr); }

ncclResult_t RegMr(void* comm, void* data, size_t size, int type, void** mhandle) {
  return Guard("regMr", [&]() -> Status {
    auto region = static_cast<Comm*>(comm)->Register(data, size, type);
    RELAY_TRY(region);
    *mhandle = *region;
    return {};
  });
}

ncclResult_t RegMr(void* comm, void* data, int size, int type, void** mhandle) {
  return RegMr(comm, data, static_cast<size_t>(size), type, mhandle);
}

// The type is always NCCL_PTR_CUDA: a descriptor stands for nothing else.
ncclResult_t RegMrDmaBuf(void* comm, void* data, size_t size, int, uint64_t offset, int fd, void** mhandle) {
  return Guard("regMrDmaBuf", [&]() -> Status {
    auto region = static_cast<Comm*>(comm)->RegisterDmaBuf(data, size, offset, fd);
    RELAY_TRY(region);
    *mhandle = *region;
    return {};
  });
}

ncclResult_t DeregMr(void* comm, void* mhandle) {
  return GuardEnd("deregMr", [&] { static_cast<Comm*>(comm)->Deregister(static_cast<MemoryRegion*>(mhandle)); });
}

ncclResult_t Isend(void* comm, void* data, size_t size, int, void* mhandle, void*, void** request) {
  *request = nullptr;
  return Guard("isend", [&] { return Post(comm, data, size, mhandle, false, request); });
}

ncclResult_t Isend(void* comm, void* data, size_t size, int tag, void* mhandle, void** request) {
  return Isend(comm, data, size, tag, mhandle, nullptr, request);
}

ncclResult_t Isend(void* comm, void* data, int size, int tag, void* mhandle, void** request) {
  return Isend(comm, data, static_cast<size_t>(size), tag, mhandle, nullptr, request);
}

ncclResult_t Irecv(void* comm, int n, void** data, size_t* sizes, int*, void** mhandles, void**, void** request) {
  // With the hint, NCCL's kernel sees the data arrive by flags inside it.
  bool in_order = *request == reinterpret_cast<void*>(NCCL_NET_OPTIONAL_RECV_COMPLETION);
  *request = nullptr;
  return Guard("irecv", [&]() -> Status {
    if (n != 1) return Fail(ErrorCode::kInternal, "a receive of " + std::to_string(n) + " buffers, maxRecvs is 1");
    return Post(comm, data[0], sizes[0], mhandles == nullptr ? nullptr : mhandles[0], in_order, request);
  });
}

ncclResult_t Irecv(void* comm, int n, void** data, size_t* sizes, int* tags, void** mhandles, void** request) {
  return Irecv(comm, n, data, sizes, tags, mhandles, nullptr, request);
}

ncclResult_t Irecv(void* comm, int n, void** data, int* sizes, int* tags, void** mhandles, void** request) {
  auto size = static_cast<size_t>(sizes[0]);
  return Irecv(comm, n, data, &size, tags, mhandles, nullptr, request);
}

// A request that stays null says that nothing is to be flushed.
ncclResult_t Iflush(void* comm, int n, void** data, int* sizes, void** mhandles, void** request) {
  *request = nullptr;
  return Guard("iflush", [&]() -> Status {
    if (n != 1) return Fail(ErrorCode::kInternal, "a flush of " + std::to_string(n) + " buffers, maxRecvs is 1");
    auto* region = mhandles == nullptr ? nullptr : static_cast<MemoryRegion*>(mhandles[0]);
    auto posted = static_cast<Comm*>(comm)->PostFlush(data[0], static_cast<size_t>(sizes[0]), region);
    RELAY_TRY(posted);
    *request = *posted;
    return {};
  });
}

ncclResult_t Test(void* request, int* done, int* size) {
  *done = 0;
  return Guard("test", [&]() -> Status {
    auto* r = static_cast<Request*>(request);
    uint64_t bytes = 0;
    auto* flush = r->stream == nullptr ? static_cast<comm::FlushRequest*>(r) : nullptr;
    auto progress = flush != nullptr ? flush->flush->Test(*flush) : r->stream->Test(*r, bytes);
    RELAY_TRY(progress);
    if (*progress == Progress::kAgain) return {};
    *done = 1;
    if (size != nullptr) *size = static_cast<int>(bytes);
    return {};
  });
}

ncclResult_t CloseSend(void* comm) { return CloseComm("closeSend", comm); }
ncclResult_t CloseRecv(void* comm) { return CloseComm("closeRecv", comm); }

ncclResult_t CloseListen(void* listen_comm) {
  return GuardEnd("closeListen", [&] {
    if (auto* listen = static_cast<ListenComm*>(listen_comm)) listen->context.CloseListen(listen);
  });
}

}  // namespace relay::nccl
