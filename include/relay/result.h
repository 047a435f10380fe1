// How every module reports failure. No exception crosses a module boundary; "not yet" is a value, not an error.
#pragma once
#include <cerrno>
#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace relay {

// Grouped by what the caller of NCCL can do about it; plugin/nccl maps each to one ncclResult_t.
enum class ErrorCode : uint8_t {
  kInternal,  // a broken promise inside this project or by NCCL
  kSystem,    // the local kernel or its limits said no
  kRemote,    // the peer, a relay or a cable is gone, or sent bytes we do not accept
  kNoPath,    // the fabric has no usable path right now
  kUsage,     // the operator's fault: a knob, the fabric file, two versions
};

struct Error {
  ErrorCode code;
  int sys_errno = 0;  // 0 when no system call was involved
  std::string what;   // one sentence for a tired operator: which node, which link, what to do
  bool told = false;  // the caller has had it before and only asked again: not worth another line in a log
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> Fail(ErrorCode code, std::string what, int err = 0) {
  return tl::unexpected<Error>(Error{code, err, std::move(what), false});
}

// Appends ": strerror(err)".
tl::unexpected<Error> FailErrno(ErrorCode code, const std::string& what, int err = errno);

// Result of trying to move forward without blocking.
enum class Progress : uint8_t { kAgain, kDone };

}  // namespace relay

// Hands an error on unchanged; whoever decided it wrote its sentence.
#define RELAY_TRY(expr)                                                     \
  do {                                                                      \
    if (auto&& relay_try_ = (expr); !relay_try_) {                          \
      return tl::unexpected<::relay::Error>(std::move(relay_try_).error()); \
    }                                                                       \
  } while (false)
