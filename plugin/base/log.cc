#include "base/log.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
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
  static std::atomic<uint64_t> lost{0};
  pollfd room{STDERR_FILENO, POLLOUT, 0};
  if (::poll(&room, 1, 0) == 0) {
    ++lost;
    return;
  }
  char out[1216] = "";
  int n = 0;
  if (const uint64_t lines = lost.exchange(0); lines != 0) {
    n = snprintf(out, sizeof out, "nccl-relay[%d] WARN %llu lines are lost: nobody has read this log\n",
                 static_cast<int>(getpid()), static_cast<unsigned long long>(lines));
  }
  n += snprintf(out + n, sizeof out - static_cast<size_t>(n), "nccl-relay[%d] %s %s\n", static_cast<int>(getpid()),
                kNames[static_cast<int>(level)], text);
  // One write: several processes may share the descriptor.
  if (::write(STDERR_FILENO, out, std::min(static_cast<size_t>(n), sizeof out - 1)) < 0) return;
}

}  // namespace relay
