// Where a change is judged, no test may be left out for want of what the machine has not.
#pragma once
#include <cstdlib>

namespace relay::fake {

// CI is set, and not empty.
inline bool Judged() {
  const char* ci = std::getenv("CI");
  return ci != nullptr && *ci != '\0';
}

}  // namespace relay::fake
