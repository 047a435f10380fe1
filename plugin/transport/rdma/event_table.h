// Whom an asynchronous event of a device concerns. Any thread.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "transport/rdma/trouble.h"

struct ibv_async_event;
struct ibv_cq;
struct ibv_qp;

namespace relay::transport::rdma {

class EventTable {
 public:
  EventTable(std::string device, uint8_t port) : device_(std::move(device)), port_(port) {}

  void Watch(ibv_qp* queue_pair, ibv_cq* completions, std::shared_ptr<Trouble> trouble);
  void Forget(ibv_qp* queue_pair);

  enum class News : uint8_t { kNone, kPortUp, kPortDown, kDeviceGone };
  // `name`: libibverbs' words for the event. An event of something that nobody watches (any more) reaches nobody.
  News Take(const ibv_async_event& event, const std::string& name);
  // The device is gone for good: everyone is told, now and later.
  void DeviceGone(const std::string& why);
  // What has ended the whole device.
  std::optional<Error> trouble() const { return device_trouble_.Get(); }

 private:
  struct Watched {
    ibv_cq* completions;
    std::shared_ptr<Trouble> trouble;
  };
  void TellAll(void (Trouble::*how)(const Error&), const Error& error);
  void TellQueuePair(const ibv_qp* queue_pair, const std::string& name);
  void TellUsersOf(const ibv_cq* completions, const std::string& name);

  const std::string device_;
  const uint8_t port_;
  Trouble device_trouble_;
  std::mutex mutex_;
  std::map<const ibv_qp*, Watched> watched_;
};

}  // namespace relay::transport::rdma
