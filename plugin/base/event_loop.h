// epoll, timers and pollers for one thread: the agent's. Callbacks may add and remove descriptors, timers and pollers,
// their own included.
#pragma once
#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "relay/result.h"

namespace relay {

class EventLoop {
 public:
  using Callback = std::function<void(uint32_t events)>;
  using TimerId = uint64_t;   // 0 is never a timer
  using PollerId = uint64_t;  // 0 is never a poller

  explicit EventLoop(const Clock& clock);

  // `events` as in epoll_ctl (EPOLLIN, EPOLLOUT, EPOLLET, ...). The descriptor stays the caller's, who removes it
  // before closing it.
  Status Watch(int fd, uint32_t events, Callback callback);
  void Rearm(int fd, uint32_t events);
  void Forget(int fd);

  TimerId After(Duration delay, std::function<void()> callback);
  void Cancel(TimerId id);

  // Called again and again until StopPolling; the loop does not sleep meanwhile. For what a descriptor would tell too
  // late.
  PollerId Poll(std::function<void()> callback);
  void StopPolling(PollerId id);

  // Waits for events or the next timer, at most `longest`, and runs what is due.
  void RunOnce(Duration longest);
  // Until Stop().
  void Run();
  void Stop() { stopped_ = true; }
  const Clock& clock() const { return clock_; }

 private:
  void RunTimers();
  void RunPollers();

  const Clock& clock_;
  Fd epoll_;
  bool stopped_ = false;
  // Keyed by a serial number, so that an event for a closed and reused descriptor finds nobody.
  struct Watched {
    int fd;
    Callback callback;
  };
  std::unordered_map<uint64_t, std::shared_ptr<Watched>> watched_;
  std::unordered_map<int, uint64_t> serial_of_fd_;
  uint64_t next_serial_ = 1;
  std::map<std::pair<TimePoint, TimerId>, std::function<void()>> timers_;
  std::unordered_map<TimerId, TimePoint> timer_due_;
  TimerId next_timer_ = 1;
  struct Poller {
    PollerId id;
    std::function<void()> callback;
  };
  std::vector<std::shared_ptr<Poller>> pollers_;  // null: has ended, and goes at the end of the turn
  PollerId next_poller_ = 1;
};

}  // namespace relay
