// The one place where errors and exceptions become ncclResult_t. Nothing may throw past it.
#pragma once
#include <exception>

#include "base/fork_guard.h"
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

// Runs one entry of a table. Its failure is logged here, once, with the sentence of whoever decided it.
template <class Body>
ncclResult_t Guard(const char* entry, Body&& body) noexcept {
  if (fork_guard::Dead()) {
    RELAY_WARN(
        "NET/Relay %s: this process was forked from one that uses NCCL, and cannot use it itself: start it afresh "
        "(Python: multiprocessing's \"spawn\")",
        entry);
    return ncclSystemError;
  }
  try {
    Status status = body();
    if (status) return ncclSuccess;
    if (!status.error().told) RELAY_WARN("NET/Relay %s: %s", entry, status.error().what.c_str());
    return ToNccl(status.error().code);
  } catch (const std::exception& e) {
    RELAY_WARN("NET/Relay %s: %s", entry, e.what());
  } catch (...) {
    RELAY_WARN("NET/Relay %s: unknown exception", entry);
  }
  return ncclInternalError;
}

// The same for entries that end something: NCCL stops its teardown at the first error, so they have none. In a forked
// child there is nothing to end.
template <class Body>
ncclResult_t GuardEnd(const char* entry, Body&& body) noexcept {
  if (fork_guard::Dead()) return ncclSuccess;
  return Guard(entry, [&]() -> Status {
    body();
    return {};
  });
}

}  // namespace relay::nccl
