#include "comm/comm.h"

#include "relay/frame.h"

namespace relay::comm {

Result<MemoryRegion*> Comm::Register(void* data, size_t size, int pointer_kind) {
  if (pointer_kind != kHostPointer) {
    return Fail(ErrorCode::kUsage, "GPU memory cannot be registered: the hops of this node are TCP (pointer kind " +
                                       std::to_string(pointer_kind) + ")");
  }
  std::lock_guard lock(mutex_);
  regions_.push_back({static_cast<std::byte*>(data), size});
  return &regions_.back();
}

void Comm::Deregister(MemoryRegion* region) {
  if (region == nullptr) return;
  stream_->CancelRegion(region);
  std::lock_guard lock(mutex_);
  regions_.remove_if([region](const MemoryRegion& r) { return &r == region; });
}

Result<stream::Request*> Comm::Post(void* data, size_t size, MemoryRegion* region, bool in_order) {
  if (size > kMaxMessageBytes) {
    return Fail(ErrorCode::kUsage, "a message of " + std::to_string(size) + " bytes is above the limit of " +
                                       std::to_string(kMaxMessageBytes));
  }
  return stream_->Post({.data = static_cast<std::byte*>(data), .size = size, .region = region}, in_order);
}

}  // namespace relay::comm
