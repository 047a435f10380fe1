#include "perf/watchdog.h"

#include "perf/failure.h"

namespace perf {

Watchdog::Watchdog(std::chrono::seconds limit) : limit_(limit), thread_([this] { Run(); }) {}

Watchdog::~Watchdog() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void Watchdog::Watch(const char* what) {
  std::lock_guard lock(mutex_);
  what_ = what;
  deadline_ = std::chrono::steady_clock::now() + limit_;
  changed_.notify_all();
}

void Watchdog::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (!what_) {
      changed_.wait(lock);
    } else if (changed_.wait_until(lock, deadline_) == std::cv_status::timeout && what_ &&
               std::chrono::steady_clock::now() >= deadline_) {
      Fail("%s took longer than %lld s", what_, static_cast<long long>(limit_.count()));
    }
  }
}

}  // namespace perf
