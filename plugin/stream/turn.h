// One lock for a thread that asks for it without pause and others that want it now and then. A mutex goes to whoever is
// there when it is let go, and the first nearly always is: so whoever else wants the lock says so while it waits, and
// the first looks at that and leaves it to them.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>

namespace relay::stream {

class TurnMutex {
 public:
  // The thread that never pauses takes its turn by std::lock_guard.
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }
  bool wanted() const { return wanted_.load(std::memory_order_relaxed) != 0; }

 private:
  friend class Turn;
  std::mutex mutex_;
  std::atomic<uint32_t> wanted_{0};
};

// Everybody else takes a turn by this.
class Turn {
 public:
  explicit Turn(TurnMutex& mutex) : lock_(mutex.mutex_, std::defer_lock) {
    mutex.wanted_.fetch_add(1, std::memory_order_relaxed);
    lock_.lock();
    mutex.wanted_.fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  std::unique_lock<std::mutex> lock_;
};

}  // namespace relay::stream
