#include "fakecuda/stream.h"

#include <pthread.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace fakecuda {

Stream::~Stream() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Stream::Push(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  queue_.push_back(std::move(work));
  changed_.notify_all();
}

bool Stream::Idle() {
  std::lock_guard lock(mutex_);
  return queue_.empty() && !busy_;
}

void Stream::Synchronize() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return queue_.empty() && !busy_; });
}

void Stream::Run() {
  pthread_setname_np(pthread_self(), "fakecuda-stream");
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    auto work = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    lock.unlock();
    work();
    work = nullptr;  // what it holds is gone before the stream counts as idle
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

namespace {

// The registry shares each stream with threads that are synchronizing with it while another destroys its handle.
struct Registry {
  std::mutex mutex;
  std::vector<std::shared_ptr<Stream>> streams;
  Stream* null_stream;

  Registry() : streams{std::make_shared<Stream>()}, null_stream(streams.front().get()) {}
};

Registry& TheRegistry() {
  static Registry& registry = *new Registry;
  return registry;
}

}  // namespace

Stream& StreamOf(cudaStream_t handle) {
  if (handle == nullptr || handle == cudaStreamLegacy || handle == cudaStreamPerThread)
    return *TheRegistry().null_stream;
  return *reinterpret_cast<Stream*>(handle);
}

void SynchronizeAllStreams() {
  Registry& registry = TheRegistry();
  std::vector<std::shared_ptr<Stream>> streams;
  {
    std::lock_guard lock(registry.mutex);
    streams = registry.streams;
  }
  for (auto& stream : streams) stream->Synchronize();
}

}  // namespace fakecuda

using fakecuda::Stream;
using fakecuda::StreamOf;

FAKECUDA_API cudaError_t cudaStreamCreateWithFlags(cudaStream_t* out, unsigned) {
  auto stream = std::make_shared<Stream>();
  *out = reinterpret_cast<cudaStream_t>(stream.get());
  auto& registry = fakecuda::TheRegistry();
  std::lock_guard lock(registry.mutex);
  registry.streams.push_back(std::move(stream));
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaStreamCreate(cudaStream_t* out) { return cudaStreamCreateWithFlags(out, 0); }

FAKECUDA_API cudaError_t cudaStreamCreateWithPriority(cudaStream_t* out, unsigned flags, int) {
  return cudaStreamCreateWithFlags(out, flags);
}

FAKECUDA_API cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  auto& registry = fakecuda::TheRegistry();
  std::shared_ptr<Stream> gone;  // joins its thread after the lock is released
  std::lock_guard lock(registry.mutex);
  auto found = std::find_if(registry.streams.begin(), registry.streams.end(),
                            [&](auto& stream) { return stream.get() == &StreamOf(handle); });
  if (found == registry.streams.end() || found->get() == registry.null_stream)
    return fakecuda::Report(cudaErrorInvalidResourceHandle);
  gone = std::move(*found);
  registry.streams.erase(found);
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  StreamOf(handle).Synchronize();
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return StreamOf(handle).Idle() ? cudaSuccess : cudaErrorNotReady;
}

FAKECUDA_API cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* argument) {
  StreamOf(handle).Push([=] { function(argument); });
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaDeviceSynchronize() {
  fakecuda::SynchronizeAllStreams();
  return cudaSuccess;
}

// Streams are never captured into graphs.
FAKECUDA_API cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  static thread_local cudaStreamCaptureMode current = cudaStreamCaptureModeGlobal;
  std::swap(*mode, current);
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  *status = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

FAKECUDA_API cudaError_t cudaStreamGetCaptureInfo(cudaStream_t, cudaStreamCaptureStatus* status, unsigned long long*,
                                                  cudaGraph_t*, const cudaGraphNode_t**, const cudaGraphEdgeData**,
                                                  size_t*) {
  *status = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
