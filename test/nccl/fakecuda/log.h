// Lines on stderr, and the way out when the shim meets something it does not emulate. Any thread may call.
#pragma once

namespace fakecuda {

void Log(int level, const char* format, ...) __attribute__((format(printf, 2, 3)));

// Stops the process: nothing that is not emulated may pass silently.
[[noreturn]] void Die(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace fakecuda
