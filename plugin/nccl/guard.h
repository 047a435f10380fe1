// The one place where errors and exceptions become ncclResult_t. Nothing may throw past it.
#pragma once
#include <exception>

#include "base/log.h"
#include "nccl/types.h"
#include "relay/result.h"

namespace relay::nccl {

inline ncclResult_t ToNccl(ErrorCode code) {
  switch (code) {  // no default: the compiler reports a code we forgot
    case ErrorCode::kInternal:
      return ncclInternalError;
    case ErrorCode::kSystem:
      return ncclSystemError;
    case ErrorCode::kRemote:
      return ncclRemoteError;
    case ErrorCode::kNoPath:
      return ncclSystemError;
    case ErrorCode::kUsage:
      return ncclInvalidUsage;
  }
  return ncclInternalError;
}

// Runs one entry of the table. Its failure is logged here, once, with the sentence of whoever decided it.
template <class Body>
ncclResult_t Guard(const char* entry, Body&& body) noexcept {
  try {
    Status status = body();
    if (status) return ncclSuccess;
    RELAY_WARN("NET/Relay %s: %s", entry, status.error().what.c_str());
    return ToNccl(status.error().code);
  } catch (const std::exception& e) {
    RELAY_WARN("NET/Relay %s: %s", entry, e.what());
  } catch (...) {
    RELAY_WARN("NET/Relay %s: unknown exception", entry);
  }
  return ncclInternalError;
}

}  // namespace relay::nccl
