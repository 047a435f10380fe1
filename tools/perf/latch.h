// The first failure of any thread ends the run of all of them.
#pragma once
#include <atomic>
#include <mutex>
#include <optional>

#include "relay/result.h"

namespace relay::perf {

class Latch {
 public:
  void Raise(Error error) {
    std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    raised_.store(true, std::memory_order_release);
  }
  // Ends all loops without an error: as NCCL's abort flag does.
  void Stop() { raised_.store(true, std::memory_order_release); }
  bool raised() const { return raised_.load(std::memory_order_acquire); }
  Status status() const {
    std::lock_guard lock(mutex_);
    return error_ ? tl::unexpected(*error_) : Status{};
  }
  // Whoever sees this change knows that something moves.
  std::atomic<uint64_t> moved{0};

 private:
  std::atomic<bool> raised_{false};
  mutable std::mutex mutex_;
  std::optional<Error> error_;
};

}  // namespace relay::perf
