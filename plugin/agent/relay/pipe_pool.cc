#include "agent/relay/pipe_pool.h"

#include <fcntl.h>
#include <unistd.h>

namespace relay::agent {
namespace {

constexpr int kLargest = 1 << 20, kSmallest = 1 << 16;  // bytes
constexpr size_t kMostFree = 64;

}  // namespace

Result<Pipe> PipePool::Lease() {
  if (!free_.empty()) {
    Pipe pipe = std::move(free_.back());
    free_.pop_back();
    return pipe;
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return FailErrno(ErrorCode::kSystem, "cannot make a pipe");
  Pipe pipe{Fd(ends[0]), Fd(ends[1]), 0};
  // Beyond the user's share (fs.pipe-user-pages-soft) the kernel refuses to enlarge: smaller pipes work too.
  for (int size = kLargest; size >= kSmallest && fcntl(ends[1], F_SETPIPE_SZ, size) < 0; size /= 2) {
  }
  int capacity = fcntl(ends[1], F_GETPIPE_SZ);
  pipe.capacity = capacity > 0 ? static_cast<size_t>(capacity) : 4096;
  return pipe;
}

void PipePool::Return(Pipe pipe) {
  if (free_.size() < kMostFree) free_.push_back(std::move(pipe));
}

}  // namespace relay::agent
