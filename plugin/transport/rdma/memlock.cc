#include "transport/rdma/memlock.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace relay::transport::rdma {

uint64_t MemlockLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
  return limit.rlim_cur;
}

uint64_t LockableBytes() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  const bool known = syscall(SYS_capget, &header, sets) == 0;
  const bool any = known && (sets[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
  return any ? UINT64_MAX : MemlockLimit();
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
