// How much memory this process may lock. Registered host memory is locked, and where the limit is low the kernel says
// only "Cannot allocate memory".
#pragma once
#include <cstdint>
#include <string>

#include "relay/result.h"

namespace relay::transport::rdma {

// An error with what to raise, when so many bytes are above the limit. Does not know what is locked already.
Status CheckMemlock(uint64_t bytes);
// "locked memory is limited to 8 MiB here: raise it (...)"; empty where there is no limit.
std::string MemlockText();
// For the sentence of a call that failed so: " (locked memory is limited ...)" after ENOMEM where there is a limit,
// else empty. Not for registrations alone: kernels count a device's own queues too.
std::string MemlockHint(int error);

}  // namespace relay::transport::rdma
