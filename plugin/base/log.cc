#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>

namespace relay {
namespace {

std::atomic<LogSink> g_sink{nullptr};
std::atomic<LogLevel> g_level{LogLevel::kInfo};

}  // namespace

void SetLogSink(LogSink sink) { g_sink.store(sink); }
void SetLogLevel(LogLevel level) { g_level.store(level); }

void Log(LogLevel level, const char* file, int line, const char* format, ...) {
  LogSink sink = g_sink.load();
  if (sink == nullptr || level > g_level.load(std::memory_order_relaxed)) return;
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  sink(level, file, line, text);
}

void StderrSink(LogLevel level, const char*, int, const char* text) {
  static const char* const kNames[] = {"", "WARN", "INFO", "TRACE"};
  char out[1152];
  int n = snprintf(out, sizeof out, "nccl-relay[%d] %s %s\n", static_cast<int>(getpid()),
                   kNames[static_cast<int>(level)], text);
  // One write per line: several processes may share the descriptor.
  if (n > 0 && ::write(STDERR_FILENO, out, static_cast<size_t>(n)) < 0) return;
}

}  // namespace relay
