#include "perf/runner.h"

#include <pthread.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace relay::perf {
namespace {

constexpr std::chrono::seconds kFarewell(35);  // longer than the plugin may wait for its agent

}  // namespace

void QuitStuck(const char* thread) {
  std::fprintf(stderr, "nccl-relay perf: the %s thread does not come back from a call of the plugin\n", thread);
  std::fflush(nullptr);
  std::_Exit(1);
}

Runner::Runner(const char* name) : name_(name), thread_([this] { Loop(); }) {
  ::pthread_setname_np(thread_.native_handle(), name);
}

Runner::~Runner() {
  {
    std::unique_lock lock(mutex_);
    cancelled_ = leave_ = true;
    changed_.notify_all();
    if (!changed_.wait_for(lock, kFarewell, [this] { return left_; })) QuitStuck(name_);
  }
  thread_.join();
}

void Runner::Start(std::vector<Task> tasks) {
  std::lock_guard lock(mutex_);
  batch_ = std::move(tasks);
  busy_ = true;
  cancelled_ = false;
  changed_.notify_all();
}

Result<Progress> Runner::Ended(std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, wait, [this] { return !busy_; })) return Progress::kAgain;
  if (!outcome_) return tl::unexpected(outcome_.error());
  return Progress::kDone;
}

void Runner::Cancel() {
  std::unique_lock lock(mutex_);
  cancelled_ = true;
  if (!changed_.wait_for(lock, kFarewell, [this] { return !busy_; })) QuitStuck(name_);
}

void Runner::Loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return leave_ || busy_; });
    if (!busy_) break;
    auto batch = std::move(batch_);
    lock.unlock();
    Status outcome = RunBatch(std::move(batch));
    lock.lock();
    outcome_ = std::move(outcome);
    busy_ = false;
    changed_.notify_all();
  }
  left_ = true;
  changed_.notify_all();
}

// Every pending task in turn, as NCCL's service thread polls its pending connects and accepts.
Status Runner::RunBatch(std::vector<Task> tasks) {
  while (!tasks.empty()) {
    for (auto task = tasks.begin(); task != tasks.end();) {
      {
        std::lock_guard lock(mutex_);
        if (cancelled_) return Fail(ErrorCode::kInternal, std::string("the ") + name_ + " thread was told to stop");
      }
      auto progress = (*task)();
      RELAY_TRY(progress);
      task = *progress == Progress::kDone ? tasks.erase(task) : task + 1;
    }
    if (!tasks.empty()) std::this_thread::yield();
  }
  return {};
}

}  // namespace relay::perf
