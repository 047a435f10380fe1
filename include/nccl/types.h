// What NCCL's plugin interfaces share, declared from facts about the binary (docs/nccl-abi.md): names and values are
// NCCL's own, so that the tables read like NCCL's documentation.
#pragma once
#include <cstddef>
#include <cstdint>

extern "C" {

typedef enum {
  ncclSuccess = 0,
  ncclUnhandledCudaError = 1,
  ncclSystemError = 2,
  ncclInternalError = 3,
  ncclInvalidArgument = 4,
  ncclInvalidUsage = 5,
  ncclRemoteError = 6,
} ncclResult_t;

typedef enum {
  NCCL_LOG_NONE = 0,
  NCCL_LOG_VERSION = 1,
  NCCL_LOG_WARN = 2,
  NCCL_LOG_INFO = 3,
  NCCL_LOG_ABORT = 4,
  NCCL_LOG_TRACE = 5,
} ncclDebugLogLevel;

// What a tuner is asked about.
typedef enum {
  ncclFuncBroadcast = 0,
  ncclFuncReduce = 1,
  ncclFuncAllGather = 2,
  ncclFuncReduceScatter = 3,
  ncclFuncAllReduce = 4,
} ncclFunc_t;

// Subsystem bits of the logger's flags.
enum : unsigned long { NCCL_INIT = 0x1, NCCL_NET = 0x10 };

typedef void (*ncclDebugLogger_t)(ncclDebugLogLevel level, unsigned long flags, const char* file, int line,
                                  const char* format, ...);
typedef ncclResult_t (*ncclProfilerCallback_t)(void** event, int type, void* parent, int64_t plugin, void* data);

// Net plugins of all versions that have one share this layout.
typedef struct {
  int netDeviceType;
  int netDeviceVersion;
  void* handle;
  size_t size;
  int needsProxyProgress;
} ncclNetDeviceHandle_t;
static_assert(sizeof(ncclNetDeviceHandle_t) == 32);
static_assert(offsetof(ncclNetDeviceHandle_t, handle) == 8);
static_assert(offsetof(ncclNetDeviceHandle_t, size) == 16);
static_assert(offsetof(ncclNetDeviceHandle_t, needsProxyProgress) == 24);

}  // extern "C"

inline constexpr int NCCL_NET_HANDLE_MAXSIZE = 128;
inline constexpr int NCCL_NET_MAX_REQUESTS = 32;
inline constexpr int NCCL_PTR_HOST = 0x1;
inline constexpr int NCCL_PTR_CUDA = 0x2;
inline constexpr int NCCL_PTR_DMABUF = 0x4;
inline constexpr int NCCL_NET_DEVICE_HOST = 0;
inline constexpr int NCCL_NET_DEVICE_INVALID_VERSION = 0;
inline constexpr int NCCL_NET_TRAFFIC_CLASS_UNDEF = -1;
inline constexpr int NCCL_NET_ID_UNDEF = -1;   // of a rail or plane
inline constexpr int NCCL_NUM_ALGORITHMS = 7;  // Tree 0, Ring 1, ..., PAT 6; 6 before NCCL 2.23
inline constexpr int NCCL_NUM_PROTOCOLS = 3;   // LL 0, LL128 1, Simple 2
inline constexpr float NCCL_ALGO_PROTO_IGNORE = -1.0F;
// The value of *request on entry of irecv when NCCL sees the data arrive by itself (LL flags).
inline constexpr uintptr_t NCCL_NET_OPTIONAL_RECV_COMPLETION = 0x1;
