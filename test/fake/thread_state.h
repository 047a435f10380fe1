// What a thread of this process does now.
#pragma once
#include <sys/types.h>

#include <cstdio>
#include <cstring>
#include <string>

namespace relay::fake {

// Whether it waits: for a lock, a condition or a descriptor. One that has ended does not.
inline bool IsAsleep(pid_t thread) {
  char line[512] = "";
  FILE* file = std::fopen(("/proc/self/task/" + std::to_string(thread) + "/stat").c_str(), "re");
  if (file == nullptr) return false;
  const bool read = std::fgets(line, sizeof line, file) != nullptr;
  std::fclose(file);
  const char* name_end = read ? std::strrchr(line, ')') : nullptr;  // the state follows the name
  return name_end != nullptr && std::strncmp(name_end, ") S", 3) == 0;
}

}  // namespace relay::fake
