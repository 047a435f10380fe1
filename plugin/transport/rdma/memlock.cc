#include "transport/rdma/memlock.h"

#include <sys/resource.h>

#include <cerrno>

namespace relay::transport::rdma {

uint64_t MemlockLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
  return limit.rlim_cur;
}

std::string MemlockText(uint64_t limit) {
  if (limit == UINT64_MAX) return "";
  return "locked memory is limited to " + std::to_string(limit >> 10) +
         " KiB here: raise it (ulimit -l unlimited, LimitMEMLOCK=infinity in a systemd unit, docker run --ulimit "
         "memlock=-1)";
}

std::string MemlockHint(int error) {
  const std::string text = error == ENOMEM ? MemlockText() : "";
  return text.empty() ? "" : " (" + text + ")";
}

std::string NoMemoryAdvice(uint64_t limit) {
  const std::string text = MemlockText(limit);
  return text.empty() ? "the kernel or the device has no memory left for it; GPU memory needs nvidia-peermem or DMA-BUF"
                      : text;
}

Status CheckMemlock(uint64_t bytes, uint64_t limit) {
  if (bytes <= limit) return {};
  return Fail(ErrorCode::kSystem,
              "RDMA needs " + std::to_string(bytes >> 10) + " KiB of locked memory, but " + MemlockText(limit), ENOMEM);
}

}  // namespace relay::transport::rdma
