#include "comm/comm.h"

#include "relay/frame.h"

namespace relay::comm {

namespace {

// NCCL places its buffers before it knows the peer: by then it is too late to take others.
tl::unexpected<Error> NoGpuMemory(const std::string& detail) {
  return Fail(ErrorCode::kUsage,
              "GPU memory cannot be registered: the hops of this connection are TCP" + detail +
                  "; set NCCL_RELAY_GDR=off (or NCCL_NET_GDR_LEVEL=LOC) for the whole job, so that NCCL's buffers for "
                  "the net are in host memory");
}

}  // namespace

Result<MemoryRegion*> Comm::Register(void* data, size_t size, int pointer_kind) {
  MemoryRegion region{.data = static_cast<std::byte*>(data), .size = size, .gpu = pointer_kind != kHostPointer};
  if (devices_.empty() && region.gpu) return NoGpuMemory(" (pointer kind " + std::to_string(pointer_kind) + ")");
  for (const auto& device : devices_) {
    auto memory = device->Register(data, size);
    if (!memory) return tl::unexpected(std::move(memory).error());
    region.memory.push_back(std::move(*memory));
  }
  return Keep(std::move(region));
}

Result<MemoryRegion*> Comm::RegisterDmaBuf(void* data, size_t size, uint64_t offset, int fd) {
  if (devices_.empty()) return NoGpuMemory("");
  MemoryRegion region{.data = static_cast<std::byte*>(data), .size = size, .gpu = true};
  for (const auto& device : devices_) {
    auto memory = device->RegisterDmaBuf(data, size, offset, fd);
    if (!memory) return tl::unexpected(std::move(memory).error());
    region.memory.push_back(std::move(*memory));
  }
  return Keep(std::move(region));
}

Result<MemoryRegion*> Comm::Keep(MemoryRegion region) {
  std::lock_guard lock(mutex_);
  if (region.gpu && kind_ == Kind::kRecv && !flush_) {
    auto flush = Flush::Make(devices_, hop_timeout_);
    if (!flush) return tl::unexpected(std::move(flush).error());
    flush_ = std::move(*flush);
  }
  regions_.push_back(std::move(region));
  return &regions_.back();
}

// Every device of the connection may have delivered a part, and only its own read pushes what it wrote.
Result<stream::Request*> Comm::PostFlush(void* data, size_t size, MemoryRegion* region) {
  if (size == 0 || region == nullptr || !region->gpu) return nullptr;
  std::lock_guard lock(mutex_);
  if (!flush_) return Fail(ErrorCode::kInternal, "iflush of a comm that receives nothing into GPU memory");
  return flush_->Post(reinterpret_cast<uint64_t>(data), region->memory);
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
