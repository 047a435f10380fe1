#include "fakecuda/log.h"

#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "fakecuda/config.h"

namespace fakecuda {
namespace {

void Write(const char* kind, const char* format, va_list arguments) {
  char line[1024];
  vsnprintf(line, sizeof line, format, arguments);
  fprintf(stderr, "fakecuda[%d]: %s%s\n", getpid(), kind, line);
}

}  // namespace

void Log(int level, const char* format, ...) {
  if (level > GetConfig().log) return;
  va_list arguments;
  va_start(arguments, format);
  Write("", format, arguments);
  va_end(arguments);
}

void Die(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  Write("fatal: ", format, arguments);
  va_end(arguments);
  abort();
}

}  // namespace fakecuda
