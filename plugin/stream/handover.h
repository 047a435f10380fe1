// Who drives a stream: NCCL's proxy thread, or the service thread where NCCL does not.
#pragma once
#include <atomic>
#include <cstdint>

namespace relay::stream {

class ServiceThread;

class Handover {
 public:
  // Before the first call. Without one, NCCL drives alone.
  void set_service(ServiceThread* service) { service_ = service; }

  // NCCL drives. Under the stream's lock.
  void Enter() {
    calls_.store(calls_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (armed.load() && service_ != nullptr) TakeBack();
  }
  // NCCL will not drive again, or what it waits for is the service's to do.
  void Leave();
  // Changes whenever NCCL drives. Any thread.
  uint64_t calls() const { return calls_.load(std::memory_order_relaxed); }

  // True: the service watches the socket, NCCL does not drive. Written by both, see ServiceThread.
  std::atomic<bool> armed{false};
  // NCCL does not drive yet, or will not again, or the circuit is lost: the service need not look first.
  std::atomic<bool> left{true};

 private:
  void TakeBack();

  ServiceThread* service_ = nullptr;
  std::atomic<uint64_t> calls_{0};
};

}  // namespace relay::stream
