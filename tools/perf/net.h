// A net plugin as NCCL's core sees it: one interface for the tables v6 to v12, as the core's own shims make it.
#pragma once
#include <memory>

#include "nccl/types.h"
#include "relay/result.h"

namespace relay::perf {

inline constexpr int kOldestAbi = 6, kNewestAbi = 12;

// What getProperties says; fields that an old table lacks hold what NCCL assumes then.
struct Properties {
  const char* name = nullptr;
  const char* pci_path = nullptr;
  uint64_t guid = 0;
  int pointer_support = 0, reg_is_global = 0, force_flush = 0;
  int speed = 0, port = 0;
  float latency = 0;
  int max_comms = 0, max_recvs = 0;
  int device_type = NCCL_NET_DEVICE_HOST, device_version = NCCL_NET_DEVICE_INVALID_VERSION;
  int physical_devices = 1, first_physical = 0;
  size_t max_p2p_bytes = size_t{1} << 30, max_collective_bytes = size_t{1} << 29;
  int max_multi_request = 1;
  int rail = NCCL_NET_ID_UNDEF, plane = NCCL_NET_ID_UNDEF;
};

// Not owning: the table is the plugin's. Functions block no longer than the plugin's do; each is called from the thread
// that NCCL calls it from (see session.h).
class Net {
 public:
  virtual ~Net() = default;
  virtual int abi() const = 0;
  virtual const char* name() const = 0;
  // The core may say by 0x1 in *request that it sees a message arrive by itself.
  bool takes_hint() const { return abi() >= 9; }
  // Older cores pass no sizes to test() for a send.
  bool tells_sent_size() const { return abi() >= 9; }

  virtual ncclResult_t Init(void** context, ncclDebugLogger_t logger) = 0;
  virtual ncclResult_t Devices(int* count) = 0;
  virtual ncclResult_t GetProperties(int device, Properties* properties) = 0;
  virtual ncclResult_t Listen(void* context, int device, void* handle, void** listen_comm) = 0;
  virtual ncclResult_t Connect(void* context, int device, void* handle, void** send_comm) = 0;
  virtual ncclResult_t Accept(void* listen_comm, void** recv_comm) = 0;
  virtual ncclResult_t RegMr(void* comm, void* data, size_t size, void** mhandle) = 0;
  virtual ncclResult_t DeregMr(void* comm, void* mhandle) = 0;
  virtual ncclResult_t Isend(void* comm, void* data, size_t size, int tag, void* mhandle, void** request) = 0;
  virtual ncclResult_t Irecv(void* comm, void* data, size_t size, int tag, void* mhandle, void** request) = 0;
  virtual ncclResult_t Iflush(void* comm, void* data, int size, void* mhandle, void** request) = 0;
  virtual ncclResult_t Test(void* request, int* done, int* size) = 0;
  virtual ncclResult_t CloseSend(void* comm) = 0;
  virtual ncclResult_t CloseRecv(void* comm) = 0;
  virtual ncclResult_t CloseListen(void* comm) = 0;
  virtual ncclResult_t Finalize(void* context) = 0;  // nothing in tables without it
  virtual void SetNetAttributes(void* context) = 0;  // nothing where the table has none; the core ignores its result
  virtual Status CheckTable() const = 0;             // the slots that NCCL calls without looking
};

// `table` is the symbol ncclNetPlugin_v<abi>.
std::unique_ptr<Net> MakeNet(int abi, const void* table);

// "ncclRemoteError (6)"
std::string ResultText(ncclResult_t result);

// What getProperties must have written: NCCL passes it memory with anything in it. `devices`: of devices().
Status CheckProperties(const Properties& properties, int devices, int abi);

// The memory's content before: no field may keep it.
inline constexpr unsigned char kGarbage = 0xA5;

}  // namespace relay::perf
