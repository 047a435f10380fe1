// Log lines of all modules. Each binary sets one sink: the plugin NCCL's logger, the agent and the tools standard
// error. Any thread. Never on a hot path.
#pragma once
#include <cstdint>

namespace relay {

enum class LogLevel : uint8_t { kWarn = 1, kInfo = 2, kTrace = 3 };

using LogSink = void (*)(LogLevel level, const char* file, int line, const char* text);

// The sink must stay callable until the process ends. nullptr silences.
void SetLogSink(LogSink sink);
// Lines above this level are not formatted. Default: kInfo.
void SetLogLevel(LogLevel level);
void Log(LogLevel level, const char* file, int line, const char* format, ...) __attribute__((format(printf, 4, 5)));
// Writes "LEVEL text" lines to standard error. It never waits: where that is a pipe or a terminal whose reader has
// stopped, lines are lost, and the next one that leaves says how many.
void StderrSink(LogLevel level, const char* file, int line, const char* text);

}  // namespace relay

#define RELAY_WARN(...) ::relay::Log(::relay::LogLevel::kWarn, __FILE__, __LINE__, __VA_ARGS__)
#define RELAY_INFO(...) ::relay::Log(::relay::LogLevel::kInfo, __FILE__, __LINE__, __VA_ARGS__)
#define RELAY_TRACE(...) ::relay::Log(::relay::LogLevel::kTrace, __FILE__, __LINE__, __VA_ARGS__)
