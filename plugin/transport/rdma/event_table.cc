#include "transport/rdma/event_table.h"

#include <infiniband/verbs.h>

namespace relay::transport::rdma {

void EventTable::Watch(ibv_qp* queue_pair, ibv_cq* completions, std::shared_ptr<Trouble> trouble) {
  std::lock_guard lock(mutex_);
  if (auto gone = device_trouble_.Get()) trouble->Set(*gone);
  watched_[queue_pair] = {completions, std::move(trouble)};
}

void EventTable::Forget(ibv_qp* queue_pair) {
  std::lock_guard lock(mutex_);
  watched_.erase(queue_pair);
}

EventTable::News EventTable::Take(const ibv_async_event& event, const std::string& name) {
  switch (event.event_type) {
    case IBV_EVENT_DEVICE_FATAL:
      DeviceGone(name);
      return News::kDeviceGone;
    case IBV_EVENT_PORT_ERR:
      if (event.element.port_num != port_) return News::kNone;
      // A cable that is back within the hop timeout is no failure: the queue pairs try again until then.
      TellAll(&Trouble::Note, {ErrorCode::kRemote, 0,
                               "port " + std::to_string(port_) + " of " + device_ +
                                   " went down: look at its cable and at the other end of it"});
      return News::kPortDown;
    case IBV_EVENT_PORT_ACTIVE:
      return event.element.port_num == port_ ? News::kPortUp : News::kNone;
    case IBV_EVENT_QP_FATAL:
    case IBV_EVENT_QP_REQ_ERR:
    case IBV_EVENT_QP_ACCESS_ERR:
      TellQueuePair(event.element.qp, name);
      return News::kNone;
    case IBV_EVENT_CQ_ERR:
      TellUsersOf(event.element.cq, name);
      return News::kNone;
    // What a queue pair survives, or learns by a completion of its own.
    default:
      return News::kNone;
  }
}

void EventTable::DeviceGone(const std::string& why) {
  const Error error{
      ErrorCode::kSystem, 0,
      "RDMA device " + device_ + " is gone (" + why + "): see the kernel's log, and restart the job once it is back"};
  device_trouble_.Set(error);
  TellAll(&Trouble::Set, error);
}

void EventTable::TellAll(void (Trouble::*how)(const Error&), const Error& error) {
  std::lock_guard lock(mutex_);
  for (auto& [queue_pair, watched] : watched_) (watched.trouble.get()->*how)(error);
}

void EventTable::TellQueuePair(const ibv_qp* queue_pair, const std::string& name) {
  std::lock_guard lock(mutex_);
  const auto it = watched_.find(queue_pair);
  if (it == watched_.end()) return;
  it->second.trouble->Set({ErrorCode::kRemote, 0,
                           "a queue pair of " + device_ + " failed (" + name +
                               "): see the kernel's log, here and at the other end of the link"});
}

void EventTable::TellUsersOf(const ibv_cq* completions, const std::string& name) {
  std::lock_guard lock(mutex_);
  for (auto& [queue_pair, watched] : watched_) {
    if (watched.completions != completions) continue;
    watched.trouble->Set(
        {ErrorCode::kSystem, 0, "a completion queue of " + device_ + " failed (" + name + "): see the kernel's log"});
  }
}

}  // namespace relay::transport::rdma
