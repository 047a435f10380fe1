#include "perf/logger.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace relay::perf {
namespace {

bool WantsInfo() {
  static const bool wants = [] {
    const char* value = std::getenv("NCCL_DEBUG");
    return value != nullptr && (std::string_view(value) == "INFO" || std::string_view(value) == "TRACE");
  }();
  return wants;
}

}  // namespace

void NcclLogger(ncclDebugLogLevel level, unsigned long, const char*, int, const char* format, ...) {
  if (level != NCCL_LOG_WARN && !(level == NCCL_LOG_INFO && WantsInfo())) return;
  char text[2048];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  // One call: lines of several threads stay whole.
  std::fprintf(stderr, "NCCL %s %s\n", level == NCCL_LOG_WARN ? "WARN" : "INFO", text);
}

}  // namespace relay::perf
