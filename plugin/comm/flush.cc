#include "comm/flush.h"

namespace relay::comm {

using stream::Request;
using transport::rdma::FlushPair;

Result<std::unique_ptr<Flush>> Flush::Make(std::span<const std::shared_ptr<transport::rdma::Device>> devices,
                                           Duration hop_timeout) {
  std::unique_ptr<Flush> out(new Flush);
  for (const auto& device : devices) {
    auto pair = FlushPair::Make(device, hop_timeout);
    if (!pair) {
      return Fail(pair.error().code,
                  "GPU memory cannot be received into, since " + device->name() +
                      " does not reach itself to flush it: " + pair.error().what,
                  pair.error().sys_errno);
    }
    out->pairs_.push_back(std::move(*pair));
  }
  for (FlushRequest& request : out->requests_) request.flush = out.get();
  return out;
}

// To say "nothing to flush" where there is no room would be taken for "done".
Result<Request*> Flush::Post(uint64_t address, std::span<const std::shared_ptr<transport::rdma::Memory>> on_devices) {
  std::lock_guard lock(mutex_);
  FlushRequest& request = requests_[posted_ % kMost];
  bool room = request.state == Request::State::kFree && on_devices.size() == pairs_.size();
  for (const auto& pair : pairs_) {
    RELAY_TRY(pair->Done());
    room = room && pair->HasRoom();
  }
  if (!room) {
    return Fail(ErrorCode::kInternal, "more than " + std::to_string(kMost) + " flushes of one connection at once");
  }
  for (size_t i = 0; i < pairs_.size(); ++i) RELAY_TRY(pairs_[i]->Start({address, on_devices[i]->remote_key()}));
  request.state = Request::State::kPosted;
  request.message = posted_++;
  return &request;
}

Result<Progress> Flush::Test(FlushRequest& request) {
  std::lock_guard lock(mutex_);
  for (const auto& pair : pairs_) {
    auto done = pair->Done();
    if (!done) {
      request.state = Request::State::kFree;
      return Fail(done.error().code, "a flush of GPU memory failed: " + done.error().what, done.error().sys_errno);
    }
    if (*done <= request.message) return Progress::kAgain;
  }
  request.state = Request::State::kFree;
  return Progress::kDone;
}

}  // namespace relay::comm
