#include "stream/callbacks.h"

#include <sys/epoll.h>

namespace relay::stream {

void Callbacks::WatchFd(int epoll, int fd, Callback callback) {
  std::lock_guard lock(mutex_);
  const uint64_t id = next_id_++;
  by_fd_[id] = {fd, std::move(callback)};
  epoll_event event{.events = EPOLLIN, .data = {.u64 = id}};
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

void Callbacks::ForgetFd(int fd) {
  std::lock_guard lock(mutex_);
  std::erase_if(by_fd_, [fd](const auto& c) { return c.second.first == fd; });
}

void Callbacks::WatchTime(Callback callback) {
  std::lock_guard lock(mutex_);
  timed_.push_back(std::move(callback));
}

bool Callbacks::any_timed() const {
  std::lock_guard lock(mutex_);
  return !timed_.empty();
}

void Callbacks::OnReadable(uint64_t id) {
  Callback callback;
  {
    std::lock_guard lock(mutex_);
    if (auto it = by_fd_.find(id); it != by_fd_.end()) callback = it->second.second;
  }
  if (callback) callback();
}

void Callbacks::RunTimed() {
  std::vector<Callback> timed;
  {
    std::lock_guard lock(mutex_);
    timed.swap(timed_);
  }
  for (Callback& callback : timed) callback();
}

}  // namespace relay::stream
