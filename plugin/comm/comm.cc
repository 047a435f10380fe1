#include "comm/comm.h"

#include "relay/frame.h"

namespace relay::comm {

Result<MemoryRegion*> Comm::Register(void* data, size_t size, int pointer_kind) {
  MemoryRegion region{static_cast<std::byte*>(data), size};
  if (device_) {
    auto memory = device_->Register(data, size);
    if (!memory) return tl::unexpected(std::move(memory).error());
    region.memory = std::move(*memory);
  } else if (pointer_kind != kHostPointer) {
    return Fail(ErrorCode::kUsage,
                "GPU memory cannot be registered: the hops of this connection are TCP (pointer kind " +
                    std::to_string(pointer_kind) + ")");
  }
  return Keep(std::move(region));
}

Result<MemoryRegion*> Comm::RegisterDmaBuf(void* data, size_t size, uint64_t offset, int fd) {
  if (!device_) {
    return Fail(ErrorCode::kUsage, "GPU memory cannot be registered: the hops of this connection are TCP");
  }
  auto memory = device_->RegisterDmaBuf(data, size, offset, fd);
  if (!memory) return tl::unexpected(std::move(memory).error());
  return Keep({static_cast<std::byte*>(data), size, std::move(*memory)});
}

MemoryRegion* Comm::Keep(MemoryRegion region) {
  std::lock_guard lock(mutex_);
  regions_.push_back(std::move(region));
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
  stream::Buffer buffer{.data = static_cast<std::byte*>(data), .size = size, .region = region};
  if (region != nullptr && region->memory) {
    buffer.keys = {region->memory->local_key(), region->memory->remote_key()};
  }
  return stream_->Post(buffer, in_order);
}

}  // namespace relay::comm
