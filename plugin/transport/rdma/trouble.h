// What went wrong outside the stream of completions, told once and kept. Any thread.
#pragma once
#include <atomic>
#include <mutex>
#include <optional>
#include <utility>

#include "relay/result.h"

namespace relay::transport::rdma {

class Trouble {
 public:
  // The first stays: what follows are its consequences.
  void Set(const Error& error) {
    std::lock_guard lock(mutex_);
    if (first_) return;
    first_ = error;
    set_.store(true, std::memory_order_release);
  }
  // Cheap while there is none.
  std::optional<Error> Get() const {
    if (!set_.load(std::memory_order_acquire)) return std::nullopt;
    std::lock_guard lock(mutex_);
    return first_;
  }

 private:
  std::atomic<bool> set_{false};
  mutable std::mutex mutex_;
  std::optional<Error> first_;
};

}  // namespace relay::transport::rdma
