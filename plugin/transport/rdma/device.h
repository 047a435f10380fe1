// One port of one verbs device, opened once per process and shared by every queue pair and registration on it.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "relay/result.h"
#include "transport/rdma/endpoint.h"
#include "transport/rdma/memory.h"

struct ibv_context;
struct ibv_pd;
struct ibv_qp;
struct ibv_cq;

namespace relay::transport::rdma {

struct Verbs;
class MemoryCache;
class EventTable;
class Trouble;

// What the device cannot do more of. From its own description.
struct DeviceLimits {
  uint32_t work_requests = 0, pieces = 0, completions = 0;
};

class Device : public std::enable_shared_from_this<Device> {
 public:
  // "mlx5_0", 1. The same object for the same name and port as long as anybody holds it. Any thread. `verbs` null:
  // LoadVerbs(); a table given must outlive the device.
  static Result<std::shared_ptr<Device>> Open(const std::string& name, uint8_t port, const Verbs* verbs = nullptr);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const std::string& name() const { return name_; }
  uint8_t port() const { return port_; }
  bool infiniband() const { return infiniband_; }
  // As of the last TakeEvents.
  bool active() const { return active_.load(std::memory_order_relaxed); }
  uint32_t speed_mbit() const { return speed_mbit_.load(std::memory_order_relaxed); }
  uint32_t max_message() const { return max_message_; }  // bytes, of one work request
  const DeviceLimits& limits() const { return limits_; }

  // Any thread, beside traffic. One registration per range: an inner range shares an outer one of the same or stricter
  // ordering. The range is rounded to pages. Errors name what to raise: memlock limits, modules for GPU memory.
  Result<std::shared_ptr<Memory>> Register(void* data, size_t size, Ordering ordering = Ordering::kRelaxed);
  // `offset` of `data` in the buffer behind the descriptor. The caller may close the descriptor as soon as this
  // returns: the registration itself keeps the buffer.
  Result<std::shared_ptr<Memory>> RegisterDmaBuf(void* data, size_t size, uint64_t offset, int fd);
  bool supports_dma_buf() const { return supports_dma_buf_; }
  uint64_t registered_bytes() const;

  // Asynchronous events: for epoll (readable); nothing blocks on it.
  int event_fd() const;
  // Any thread. Device fatal and port error reach every queue pair of this device and port, an event of one queue pair
  // or completion queue that one alone.
  void TakeEvents();
  // The device is gone for good: nothing new can be made on it.
  std::optional<Error> trouble() const;

  // The addresses of the port for queue pairs to choose from, read now: at most kMaxGids, RoCE v2 first.
  Result<std::vector<Gid>> ReadGids() const;
  struct PortFacts {
    bool active = false, needs_global_header = false;
    uint16_t lid = 0, mtu = 1024;
  };
  Result<PortFacts> ReadPort() const;
  const Verbs& verbs() const { return *verbs_; }
  ibv_context* context() const { return context_; }
  ibv_pd* domain() const { return domain_; }
  // From Watch to Forget, events of these two reach the Trouble. Forget before either is destroyed.
  void Watch(ibv_qp* queue_pair, ibv_cq* completions, std::shared_ptr<Trouble> trouble);
  void Forget(ibv_qp* queue_pair);

 private:
  Device(const Verbs& verbs, std::string name, uint8_t port);
  Status Start();

  const Verbs* verbs_;
  const std::string name_;
  const uint8_t port_;
  ibv_context* context_ = nullptr;
  ibv_pd* domain_ = nullptr;
  bool infiniband_ = false, supports_dma_buf_ = false;
  uint32_t max_message_ = 0;
  DeviceLimits limits_;
  std::atomic<bool> active_{false};
  std::atomic<uint32_t> speed_mbit_{0};
  std::unique_ptr<MemoryCache> memory_;
  std::unique_ptr<EventTable> events_;
};

// One port of a device that is present, for the doctor and for messages.
struct DeviceFacts {
  std::string name;
  uint8_t port = 1;
  std::vector<std::string> netdevs = {};  // the interfaces that its addresses belong to
  bool infiniband = false, active = false;
  uint32_t speed_mbit = 0;
  std::string why_not = {};  // a sentence where it cannot be used; then the fields above may be unknown
};
Result<std::vector<DeviceFacts>> ListDevices(const Verbs* verbs = nullptr);

// Whether this process's libibverbs finds the device: it loads here and has the device's provider. Nothing is opened.
Status FindDevice(const std::string& name, const Verbs* verbs = nullptr);

}  // namespace relay::transport::rdma
