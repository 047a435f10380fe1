#include "base/event_loop.h"

#include <algorithm>

namespace relay {
namespace {

// Rounds of all pollers between two looks at the descriptors, which cost a system call.
constexpr int kPollRounds = 16;

}  // namespace

EventLoop::EventLoop(const Clock& clock) : clock_(clock), epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

Status EventLoop::Watch(int fd, uint32_t events, Callback callback) {
  uint64_t serial = next_serial_++;
  epoll_event event{};
  event.events = events;
  event.data.u64 = serial;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return FailErrno(ErrorCode::kSystem, "epoll_ctl add");
  watched_[serial] = std::make_shared<Watched>(Watched{fd, std::move(callback)});
  serial_of_fd_[fd] = serial;
  return {};
}

void EventLoop::Rearm(int fd, uint32_t events) {
  auto it = serial_of_fd_.find(fd);
  if (it == serial_of_fd_.end()) return;
  epoll_event event{};
  event.events = events;
  event.data.u64 = it->second;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::Forget(int fd) {
  auto it = serial_of_fd_.find(fd);
  if (it == serial_of_fd_.end()) return;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  watched_.erase(it->second);
  serial_of_fd_.erase(it);
}

EventLoop::TimerId EventLoop::After(Duration delay, std::function<void()> callback) {
  TimerId id = next_timer_++;
  TimePoint due = clock_.Now() + delay;
  timers_[{due, id}] = std::move(callback);
  timer_due_[id] = due;
  return id;
}

void EventLoop::Cancel(TimerId id) {
  auto it = timer_due_.find(id);
  if (it == timer_due_.end()) return;
  timers_.erase({it->second, id});
  timer_due_.erase(it);
}

EventLoop::PollerId EventLoop::Poll(std::function<void()> callback) {
  pollers_.push_back(std::make_shared<Poller>(Poller{next_poller_, std::move(callback)}));
  return next_poller_++;
}

void EventLoop::StopPolling(PollerId id) {
  for (auto& poller : pollers_) {
    if (poller && poller->id == id) poller = nullptr;
  }
}

void EventLoop::RunPollers() {
  for (int round = 0; round < kPollRounds && !pollers_.empty(); ++round) {
    for (size_t i = 0; i < pollers_.size(); ++i) {
      if (const std::shared_ptr<Poller> keep = pollers_[i]) keep->callback();  // which may end itself and others
    }
    std::erase(pollers_, nullptr);
  }
}

void EventLoop::RunTimers() {
  TimePoint now = clock_.Now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto node = timers_.extract(timers_.begin());
    timer_due_.erase(node.key().second);
    node.mapped()();
  }
}

void EventLoop::RunOnce(Duration longest) {
  RunPollers();
  if (!pollers_.empty()) longest = Duration::zero();
  if (!timers_.empty()) longest = std::min<Duration>(longest, timers_.begin()->first.first - clock_.Now());
  // Rounded up: waking a millisecond early would spin until the timer is due.
  auto ms = std::chrono::ceil<std::chrono::milliseconds>(std::max(longest, Duration::zero())).count();
  epoll_event events[64];
  int n = epoll_wait(epoll_.get(), events, 64, static_cast<int>(std::min<int64_t>(ms, 1 << 30)));
  for (int i = 0; i < n; ++i) {
    auto it = watched_.find(events[i].data.u64);
    if (it == watched_.end()) continue;
    std::shared_ptr<Watched> keep = it->second;  // the callback may forget its own descriptor
    keep->callback(events[i].events);
  }
  RunTimers();
}

void EventLoop::Run() {
  stopped_ = false;
  while (!stopped_) RunOnce(std::chrono::hours(1));
}

}  // namespace relay
