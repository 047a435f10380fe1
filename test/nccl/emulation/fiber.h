// Cooperative fibers: each block of a kernel, and each half of a block that runs beside another, is one. All fibers of
// a kernel run round robin on the thread of its stream, so that many ranks with many channels work on few cores. Not
// thread-safe: one thread owns a scheduler.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace fakecuda {

// Thrown inside a fiber when the kernel's abort flag is up; unwinds the fiber and ends it.
struct KernelAborted {};

class Scheduler {
 public:
  explicit Scheduler(const uint32_t* abort_flag) : abort_flag_(abort_flag) {}

  void Spawn(std::function<void()> body);
  void Run();  // until every fiber has ended

  // Inside a fiber: lets the others run until `condition` holds.
  template <class Condition>
  void Wait(Condition condition) {
    while (!condition()) Yield();
    progress_ = true;
  }

  // The same for fibers that were spawned with references to this one's stack: it may not leave before them, so it does
  // not end when the kernel is aborted. They do, and make the condition true.
  template <class Condition>
  void Join(Condition condition) {
    while (!condition()) SwitchAway();
    progress_ = true;
  }

 private:
  struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    std::function<void()> body;
    bool done = false;
  };

  static void Enter(unsigned high, unsigned low);
  void Yield();
  void SwitchAway();
  bool RunEachOnce();

  const uint32_t* abort_flag_;
  ucontext_t main_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  Fiber* current_ = nullptr;
  bool progress_ = false;
};

}  // namespace fakecuda
