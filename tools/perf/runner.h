// A thread that runs what it is given by polling, all at once: NCCL's init thread and its proxy service thread.
#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "relay/result.h"

namespace relay::perf {

class Runner {
 public:
  // kAgain: call it again soon.
  using Task = std::function<Result<Progress>()>;

  explicit Runner(const char* name);
  // Ends the process when the thread does not come back from a call within a few seconds.
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Hands over a batch; the one before must have ended.
  void Start(std::vector<Task> tasks);
  // kAgain while the batch is under way; an error is that of its first failed task, with which it ended.
  Result<Progress> Ended(std::chrono::milliseconds wait);
  // What is not done yet is not called again.
  void Cancel();
  const char* name() const { return name_; }

 private:
  void Loop();
  Status RunBatch(std::vector<Task> tasks);

  const char* const name_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Task> batch_;
  bool busy_ = false, cancelled_ = false, leave_ = false, left_ = false;
  Status outcome_;
  std::thread thread_;
};

// Ends the process, with a sentence: a thread is inside the plugin and does not come back.
[[noreturn]] void QuitStuck(const char* thread);

}  // namespace relay::perf
