#include "nccl/log_sink.h"

#include <atomic>

#include "base/log.h"

namespace relay::nccl {
namespace {

std::atomic<ncclDebugLogger_t> g_logger{nullptr};

void Sink(LogLevel level, const char* file, int line, const char* text) {
  ncclDebugLogger_t logger = g_logger.load();
  ncclDebugLogLevel as = level == LogLevel::kWarn   ? NCCL_LOG_WARN
                         : level == LogLevel::kInfo ? NCCL_LOG_INFO
                                                    : NCCL_LOG_TRACE;
  if (logger != nullptr) logger(as, NCCL_INIT | NCCL_NET, file, line, "%s", text);
}

}  // namespace

void UseNcclLogger(ncclDebugLogger_t logger) {
  if (logger == nullptr) return;
  g_logger.store(logger);
  SetLogSink(Sink);
}

}  // namespace relay::nccl
