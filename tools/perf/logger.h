// What NCCL gives a plugin to log with: warnings always, INFO with NCCL_DEBUG=INFO or TRACE, on standard error.
#pragma once
#include "nccl/types.h"

namespace relay::perf {

void NcclLogger(ncclDebugLogLevel level, unsigned long flags, const char* file, int line, const char* format, ...)
    __attribute__((format(printf, 5, 6)));

}  // namespace relay::perf
