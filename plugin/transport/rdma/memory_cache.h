// The registrations of one device: one per range, shared by everyone who asks for it or for a part of it, gone with the
// last of them. Any thread.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "relay/result.h"
#include "transport/rdma/memory.h"

struct ibv_mr;

namespace relay::transport::rdma {

class Device;
class RegisteredMemory;

// [begin, end), whole pages.
struct PageRange {
  uint64_t begin = 0, end = 0;
  // Nothing where the range wraps around the end of the address space. Zero bytes take one page.
  static Result<PageRange> Around(const void* data, size_t size);
};

class MemoryCache {
 public:
  using Make = std::function<ibv_mr*(const PageRange&)>;

  // A live registration that covers the range in at least that ordering, or what `make` registers; nullptr: it failed
  // and errno says why. `owner` lives as long as what is returned. `make` may be slow; finding and giving back do not
  // wait for it.
  std::shared_ptr<Memory> FindOrMake(const PageRange& range, Ordering ordering, const std::shared_ptr<Device>& owner,
                                     const Make& make);
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  friend class RegisteredMemory;
  struct Entry {
    const RegisteredMemory* memory;  // alive or about to give itself back
    std::weak_ptr<RegisteredMemory> alive;
  };
  std::shared_ptr<Memory> Find(const PageRange& range, Ordering ordering);
  void GiveBack(const RegisteredMemory& memory);

  std::mutex making_;                       // one registration at a time, so that no two make the same range
  std::mutex mutex_;                        // entries_ and largest_
  std::multimap<uint64_t, Entry> entries_;  // by begin
  uint64_t largest_ = 0;                    // how far before a range one that covers it may begin
  std::atomic<uint64_t> bytes_{0};
};

}  // namespace relay::transport::rdma
