#include "comm/comm.h"

#include "relay/frame.h"

namespace relay::comm {

Result<MemoryRegion*> Comm::Register(void* data, size_t size, int pointer_kind) {
  MemoryRegion region{static_cast<std::byte*>(data), size};
  for (const auto& device : devices_) {
    auto memory = device->Register(data, size);
    if (!memory) return tl::unexpected(std::move(memory).error());
    region.memory.push_back(std::move(*memory));
  }
  if (devices_.empty() && pointer_kind != kHostPointer) {
    return Fail(ErrorCode::kUsage,
                "GPU memory cannot be registered: the hops of this connection are TCP (pointer kind " +
                    std::to_string(pointer_kind) + ")");
  }
  return Keep(std::move(region));
}

Result<MemoryRegion*> Comm::RegisterDmaBuf(void* data, size_t size, uint64_t offset, int fd) {
  if (devices_.empty()) {
    return Fail(ErrorCode::kUsage, "GPU memory cannot be registered: the hops of this connection are TCP");
  }
  MemoryRegion region{static_cast<std::byte*>(data), size};
  for (const auto& device : devices_) {
    auto memory = device->RegisterDmaBuf(data, size, offset, fd);
    if (!memory) return tl::unexpected(std::move(memory).error());
    region.memory.push_back(std::move(*memory));
  }
  return Keep(std::move(region));
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
  for (size_t i = 0; region != nullptr && i < region->memory.size(); ++i) {
    buffer.keys[i] = {region->memory[i]->local_key(), region->memory[i]->remote_key()};
  }
  return stream_->Post(buffer, in_order);
}

}  // namespace relay::comm
