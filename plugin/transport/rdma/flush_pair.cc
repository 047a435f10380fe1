#include "transport/rdma/flush_pair.h"

#include "transport/rdma/gid_choice.h"

namespace relay::transport::rdma {
namespace {

// A read takes microseconds: after so many looks in vain it is worth a call to ask whether the device is still there.
constexpr uint64_t kLooksInVain = 1024;

}  // namespace

Result<std::unique_ptr<FlushPair>> FlushPair::Make(std::shared_ptr<Device> device, Duration hop_timeout) {
  auto sink = WindowMemory::Make(*device, 1);
  RELAY_TRY(sink);
  auto queue_pair = QueuePair::Create(
      device, {.sends = kMost, .receives = 1, .pieces = 1, .inline_bytes = 0, .hop_timeout = hop_timeout});
  RELAY_TRY(queue_pair);
  const Endpoint itself = (*queue_pair)->near();
  auto gids = ChooseGids(itself, itself, {}, {});
  RELAY_TRY(gids);
  RELAY_TRY((*queue_pair)->Connect(itself, *gids));
  return std::unique_ptr<FlushPair>(new FlushPair(std::move(device), std::move(*sink), std::move(*queue_pair)));
}

Status FlushPair::Start(Remote from) {
  queue_pair_->Read({sink_.data(), 1, sink_.local_key()}, from, started_);
  ++started_;
  return queue_pair_->Ring();
}

Result<uint64_t> FlushPair::Done() {
  while (done_ != started_) {
    auto count = queue_pair_->Poll(completions_);
    RELAY_TRY(count);
    done_ += *count;
    if (*count != 0) continue;
    if (++waited_ % kLooksInVain != 0) break;
    device_->TakeEvents();
    if (auto trouble = queue_pair_->trouble()) return tl::unexpected<Error>(std::move(*trouble));
    break;
  }
  return done_;
}

}  // namespace relay::transport::rdma
