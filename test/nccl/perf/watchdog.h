// A deadline for calls that have none of their own, such as ncclCommInitRank. When one passes, the process ends with a
// sentence.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace perf {

class Watchdog {
 public:
  explicit Watchdog(std::chrono::seconds limit);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  std::chrono::seconds limit() const { return limit_; }

  // In force while the object lives. One at a time.
  class Guard {
   public:
    Guard(Watchdog& watchdog, const char* what) : watchdog_(watchdog) { watchdog_.Watch(what); }
    ~Guard() { watchdog_.Watch(nullptr); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    Watchdog& watchdog_;
  };

 private:
  void Watch(const char* what);  // nullptr: nothing is being waited for
  void Run();

  const std::chrono::seconds limit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  const char* what_ = nullptr;
  std::chrono::steady_clock::time_point deadline_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace perf
