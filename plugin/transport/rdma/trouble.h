// What went wrong outside the stream of completions: what ends a queue pair, kept for good, and what may pass. Any
// thread.
#pragma once
#include <atomic>
#include <mutex>
#include <optional>
#include <utility>

#include "relay/result.h"

namespace relay::transport::rdma {

class Trouble {
 public:
  // It ends. The first stays: what follows are its consequences.
  void Set(const Error& error) {
    std::lock_guard lock(mutex_);
    if (end_) return;
    end_ = error;
    set_.store(true, std::memory_order_release);
  }
  // It may go on, or fail later because of this.
  void Note(const Error& error) {
    std::lock_guard lock(mutex_);
    note_ = error;
    set_.store(true, std::memory_order_release);
  }
  // What ended it. Both are cheap while there is nothing.
  std::optional<Error> End() const { return Read(&Trouble::end_); }
  // What explains that it failed: what ended it, else what was noted last.
  std::optional<Error> Get() const {
    auto end = End();
    return end ? end : Read(&Trouble::note_);
  }

 private:
  std::optional<Error> Read(std::optional<Error> Trouble::*which) const {
    if (!set_.load(std::memory_order_acquire)) return std::nullopt;
    std::lock_guard lock(mutex_);
    return this->*which;
  }

  std::atomic<bool> set_{false};
  mutable std::mutex mutex_;
  std::optional<Error> end_, note_;
};

}  // namespace relay::transport::rdma
