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

// Subsystem bits of the logger's flags.
enum : unsigned long { NCCL_INIT = 0x1, NCCL_NET = 0x10 };

typedef void (*ncclDebugLogger_t)(ncclDebugLogLevel level, unsigned long flags, const char* file, int line,
                                  const char* format, ...);
typedef ncclResult_t (*ncclProfilerCallback_t)(void** event, int type, void* parent, int64_t plugin, void* data);

}  // extern "C"

inline constexpr int NCCL_NET_HANDLE_MAXSIZE = 128;
inline constexpr int NCCL_NET_MAX_REQUESTS = 32;
inline constexpr int NCCL_PTR_HOST = 0x1;
inline constexpr int NCCL_PTR_CUDA = 0x2;
inline constexpr int NCCL_PTR_DMABUF = 0x4;
inline constexpr int NCCL_NET_DEVICE_HOST = 0;
inline constexpr int NCCL_NET_DEVICE_INVALID_VERSION = 0;
// The value of *request on entry of irecv when NCCL sees the data arrive by itself (LL flags).
inline constexpr uintptr_t NCCL_NET_OPTIONAL_RECV_COMPLETION = 0x1;
