#include "emulation/fiber.h"

#include <sched.h>

#include <chrono>
#include <thread>
#include <utility>

namespace fakecuda {
namespace {

constexpr size_t kStackSize = 256 << 10;
constexpr int kSpins = 64;  // idle rounds before sleeping
constexpr std::chrono::microseconds kNap(20);

}  // namespace

// makecontext() passes ints only.
void Scheduler::Enter(unsigned high, unsigned low) {
  auto* scheduler = reinterpret_cast<Scheduler*>(uintptr_t{high} << 32 | low);
  Fiber* self = scheduler->current_;
  try {
    self->body();
  } catch (KernelAborted&) {
  }
  self->done = true;
  swapcontext(&self->context, &scheduler->main_);
}

void Scheduler::Spawn(std::function<void()> body) {
  auto fiber = std::make_unique<Fiber>();
  fiber->body = std::move(body);
  fiber->stack = std::make_unique<char[]>(kStackSize);
  getcontext(&fiber->context);
  fiber->context.uc_stack.ss_sp = fiber->stack.get();
  fiber->context.uc_stack.ss_size = kStackSize;
  fiber->context.uc_link = nullptr;
  auto self = reinterpret_cast<uintptr_t>(this);
  makecontext(&fiber->context, reinterpret_cast<void (*)()>(Enter), 2, static_cast<unsigned>(self >> 32),
              static_cast<unsigned>(self));
  fibers_.push_back(std::move(fiber));
}

void Scheduler::Yield() {
  if (abort_flag_ && __atomic_load_n(abort_flag_, __ATOMIC_ACQUIRE)) throw KernelAborted();
  SwitchAway();
}

void Scheduler::SwitchAway() { swapcontext(&current_->context, &main_); }

bool Scheduler::RunEachOnce() {
  bool alive = false;
  for (size_t i = 0; i < fibers_.size(); i++) {  // by index: a fiber may spawn others
    if (fibers_[i]->done) continue;
    current_ = fibers_[i].get();
    swapcontext(&main_, &current_->context);
    alive |= !current_->done;
  }
  return alive;
}

void Scheduler::Run() {
  for (int idle = 0;;) {
    progress_ = false;
    if (!RunEachOnce()) return;
    if (progress_) {
      idle = 0;
    } else if (++idle < kSpins) {
      sched_yield();
    } else {
      std::this_thread::sleep_for(kNap);
    }
  }
}

}  // namespace fakecuda
