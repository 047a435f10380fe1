// A small page of this process that a lane's devices may write: zeroed, registered, freed with its owner.
#pragma once
#include <cstdlib>
#include <cstring>
#include <memory>

#include "transport/rdma/device.h"
#include "transport/rdma/hop_offer.h"
#include "transport/rdma/memory.h"

namespace relay::transport::rdma {

class WindowMemory {
 public:
  static Result<WindowMemory> Make(Device& device, size_t bytes) {
    constexpr size_t kPage = 4096;  // nothing else shares it: a registration is of whole pages
    const size_t size = (bytes + kPage - 1) / kPage * kPage;
    WindowMemory out;
    out.bytes_.reset(static_cast<std::byte*>(std::aligned_alloc(kPage, size)));
    if (!out.bytes_) return Fail(ErrorCode::kSystem, "no memory for a page");
    std::memset(out.bytes_.get(), 0, size);
    auto memory = device.Register(out.bytes_.get(), size, Ordering::kStrict);
    RELAY_TRY(memory);
    out.memory_ = std::move(*memory);
    return out;
  }

  std::byte* data() const { return bytes_.get(); }
  uint32_t local_key() const { return memory_->local_key(); }
  Window window() const { return {reinterpret_cast<uint64_t>(bytes_.get()), memory_->remote_key()}; }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> bytes_;
  std::shared_ptr<Memory> memory_;  // goes first
};

}  // namespace relay::transport::rdma
