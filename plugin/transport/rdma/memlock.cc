#include "transport/rdma/memlock.h"

#include <sys/resource.h>

#include <cerrno>

namespace relay::transport::rdma {
namespace {

uint64_t MemlockLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
  return limit.rlim_cur;
}

}  // namespace

std::string MemlockText() {
  const uint64_t limit = MemlockLimit();
  if (limit == UINT64_MAX) return "";
  return "locked memory is limited to " + std::to_string(limit >> 10) +
         " KiB here: raise it (ulimit -l unlimited, LimitMEMLOCK=infinity in a systemd unit, docker run --ulimit "
         "memlock=-1)";
}

std::string MemlockHint(int error) {
  const std::string text = error == ENOMEM ? MemlockText() : "";
  return text.empty() ? "" : " (" + text + ")";
}

Status CheckMemlock(uint64_t bytes) {
  if (bytes <= MemlockLimit()) return {};
  return Fail(ErrorCode::kSystem,
              "RDMA needs " + std::to_string(bytes >> 10) + " KiB of locked memory, but " + MemlockText(), ENOMEM);
}

}  // namespace relay::transport::rdma
