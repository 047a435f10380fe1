// How much memory this process may lock. Registered host memory is locked, and where the limit is low the kernel says
// only "Cannot allocate memory".
#pragma once
#include <cstdint>
#include <string>

#include "relay/result.h"

namespace relay::transport::rdma {

// How many bytes this process may lock; UINT64_MAX: there is no limit.
uint64_t MemlockLimit();
// As MemlockLimit, but none where this process may lock what it likes (CAP_IPC_LOCK).
uint64_t LockableBytes();
// An error with what to raise, when so many bytes are above the limit. Does not know what is locked already.
Status CheckMemlock(uint64_t bytes, uint64_t limit = MemlockLimit());
// "locked memory is limited to 8192 KiB here: raise it (...)"; empty where there is no limit.
std::string MemlockText(uint64_t limit = MemlockLimit());
// What to do about a registration that found no memory: the limit if there is one.
std::string NoMemoryAdvice(uint64_t limit = MemlockLimit());
// What is added to the sentence of a call that failed so: " (locked memory is limited ...)" after ENOMEM where there is
// a limit, else nothing. Registrations are not alone: kernels count a device's own queues too.
std::string MemlockHint(int error);

}  // namespace relay::transport::rdma
