// Unguessable bytes from the kernel.
#pragma once
#include <sys/random.h>

#include <cstddef>
#include <cstdlib>

namespace relay {

// The kernel never fails this after boot for so few bytes; if it does, no token may be drawn.
template <class T>
T RandomValue() {
  T out;
  if (getrandom(&out, sizeof out, 0) != static_cast<ssize_t>(sizeof out)) std::abort();
  return out;
}

}  // namespace relay
