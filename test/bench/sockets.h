// Plain sockets of the benchmark programs, with the options that the product gives its hops.
#pragma once
#include <cstdint>

#include "base/fd.h"

namespace bench {

[[noreturn]] void Die(const char* what);
// Blocking sockets. Dial tries until somebody listens, for half a minute.
relay::Fd AcceptOne(uint16_t port);
relay::Fd Dial(const char* host, uint16_t port);

}  // namespace bench
