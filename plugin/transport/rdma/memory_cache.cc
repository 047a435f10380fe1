#include "transport/rdma/memory_cache.h"

#include <infiniband/verbs.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "transport/rdma/device.h"
#include "transport/rdma/verbs.h"

namespace relay::transport::rdma {

Result<PageRange> PageRange::Around(const void* data, size_t size) {
  static const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uint64_t>(data);
  const uint64_t bytes = std::max<uint64_t>(size, 1);
  if (bytes > UINT64_MAX - page || first > UINT64_MAX - page - bytes) {
    return Fail(ErrorCode::kInternal, "a range of memory to register wraps around the end of the address space");
  }
  return PageRange{first / page * page, (first + bytes + page - 1) / page * page};
}

class RegisteredMemory final : public Memory {
 public:
  RegisteredMemory(const PageRange& range, Ordering ordering, ibv_mr* region, std::shared_ptr<Device> owner,
                   MemoryCache& cache)
      : Memory(range.begin, range.end - range.begin, region->lkey, region->rkey),
        ordering_(ordering),
        region_(region),
        owner_(std::move(owner)),
        cache_(cache) {}

  ~RegisteredMemory() override {
    cache_.GiveBack(*this);
    if (const int error = owner_->verbs().dereg_mr(region_)) {
      RELAY_WARN("%s does not give %zu bytes of registered memory back: error %d", owner_->name().c_str(), size(),
                 error);
    }
  }

  bool Covers(const PageRange& range, Ordering ordering) const {
    return address() <= range.begin && range.end <= address() + size() &&
           (ordering == Ordering::kRelaxed || ordering_ == Ordering::kStrict);
  }

 private:
  const Ordering ordering_;
  ibv_mr* const region_;
  const std::shared_ptr<Device> owner_;  // and with it the cache
  MemoryCache& cache_;
};

std::shared_ptr<Memory> MemoryCache::FindOrMake(const PageRange& range, Ordering ordering,
                                                const std::shared_ptr<Device>& owner, const Make& make) {
  if (auto found = Find(range, ordering)) return found;
  std::lock_guard making(making_);
  if (auto found = Find(range, ordering)) return found;
  ibv_mr* region = make(range);
  if (!region) return nullptr;
  auto memory = std::make_shared<RegisteredMemory>(range, ordering, region, owner, *this);
  std::lock_guard lock(mutex_);
  entries_.emplace(range.begin, Entry{memory.get(), memory});
  largest_ = std::max(largest_, range.end - range.begin);
  bytes_ += memory->size();
  return memory;
}

std::shared_ptr<Memory> MemoryCache::Find(const PageRange& range, Ordering ordering) {
  std::lock_guard lock(mutex_);
  for (auto it = entries_.upper_bound(range.begin); it != entries_.begin();) {
    --it;
    if (range.end - it->first > largest_) break;
    if (!it->second.memory->Covers(range, ordering)) continue;
    // Only what is returned is ever locked: to drop the last reference here would wait for this very mutex.
    if (auto memory = it->second.alive.lock()) return memory;
  }
  return nullptr;
}

void MemoryCache::GiveBack(const RegisteredMemory& memory) {
  std::lock_guard lock(mutex_);
  auto [it, end] = entries_.equal_range(memory.address());
  while (it != end && it->second.memory != &memory) ++it;
  if (it == end) return;
  entries_.erase(it);
  bytes_ -= memory.size();
}

}  // namespace relay::transport::rdma
