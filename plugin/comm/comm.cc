#include "comm/comm.h"

#include "relay/frame.h"

namespace relay::comm {

void Comm::Deregister(MemoryRegion* region) {
  if (region == nullptr) return;
  stream_->CancelRegion(region);
  registrations_->Deregister(region);
}

Result<stream::Request*> Comm::Post(void* data, size_t size, MemoryRegion* region, bool in_order) {
  if (size > kMaxMessageBytes) {
    return Fail(ErrorCode::kUsage, "a message of " + std::to_string(size) + " bytes is above the limit of " +
                                       std::to_string(kMaxMessageBytes));
  }
  return stream_->Post({.data = static_cast<std::byte*>(data), .size = size, .region = region}, in_order);
}

}  // namespace relay::comm
