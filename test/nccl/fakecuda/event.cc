// Events: counters. A wait captures the number of the latest record at the time of the call, as CUDA does, so a later
// record of the same event does not prolong it.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

#include "fakecuda/api.h"
#include "fakecuda/stream.h"

namespace fakecuda {
namespace {

struct Event {
  std::mutex mutex;
  std::condition_variable completed_changed;
  uint64_t recorded = 0;
  uint64_t completed = 0;
  std::chrono::steady_clock::time_point time;

  void WaitFor(uint64_t number) {
    std::unique_lock lock(mutex);
    completed_changed.wait(lock, [&] { return completed >= number; });
  }
};

// The handle and the work queued on streams both own the event: it may be destroyed while its record is still queued.
using EventRef = std::shared_ptr<Event>;

EventRef& RefOf(cudaEvent_t handle) { return *reinterpret_cast<EventRef*>(handle); }

void Record(const EventRef& event, Stream& stream) {
  uint64_t number;
  {
    std::lock_guard lock(event->mutex);
    number = ++event->recorded;
  }
  stream.Push([event, number] {
    std::lock_guard lock(event->mutex);
    event->completed = std::max(event->completed, number);
    event->time = std::chrono::steady_clock::now();
    event->completed_changed.notify_all();
  });
}

}  // namespace
}  // namespace fakecuda

using fakecuda::RefOf;

FAKECUDA_API cudaError_t cudaEventCreateWithFlags(cudaEvent_t* out, unsigned) {
  *out = reinterpret_cast<cudaEvent_t>(new fakecuda::EventRef(std::make_shared<fakecuda::Event>()));
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaEventCreate(cudaEvent_t* out) { return cudaEventCreateWithFlags(out, 0); }

FAKECUDA_API cudaError_t cudaEventDestroy(cudaEvent_t handle) {
  delete &RefOf(handle);
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream) {
  fakecuda::Record(RefOf(handle), fakecuda::StreamOf(stream));
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaEventQuery(cudaEvent_t handle) {
  fakecuda::EventRef event = RefOf(handle);
  std::lock_guard lock(event->mutex);
  return event->completed >= event->recorded ? cudaSuccess : cudaErrorNotReady;
}

FAKECUDA_API cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  fakecuda::EventRef event = RefOf(handle);
  uint64_t number;
  {
    std::lock_guard lock(event->mutex);
    number = event->recorded;
  }
  event->WaitFor(number);
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t stop) {
  *milliseconds = std::chrono::duration<float, std::milli>(RefOf(stop)->time - RefOf(start)->time).count();
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t handle, unsigned) {
  fakecuda::EventRef event = RefOf(handle);
  uint64_t number;
  {
    std::lock_guard lock(event->mutex);
    number = event->recorded;
    if (event->completed >= number) return cudaSuccess;
  }
  fakecuda::StreamOf(stream).Push([event, number] { event->WaitFor(number); });
  return cudaSuccess;
}
