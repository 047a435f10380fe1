// A stream: a queue of work and the thread that runs it in order, started with the first piece of work. Launching has
// to return before the work is done: NCCL posts its proxy operations after it has launched a kernel, so an inline
// kernel would wait for them for ever.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "fakecuda/api.h"

namespace fakecuda {

class Stream {
 public:
  Stream() = default;
  ~Stream();  // runs what is queued, then joins the thread
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void Push(std::function<void()> work);
  bool Idle();
  void Synchronize();

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool busy_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

Stream& StreamOf(cudaStream_t handle);  // the null handles name one default stream
void SynchronizeAllStreams();

}  // namespace fakecuda
