// Registered memory on one device: the right of that device to read and write it.
#pragma once
#include <cstddef>
#include <cstdint>

namespace relay::transport::rdma {

// Unregistered when the last shared_ptr goes; queue pairs do not hold one, so whoever posts keeps it until the
// completion. Immutable, any thread.
class Memory {
 public:
  virtual ~Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // Pieces of work requests here name the one, the other side's Remote the other. Both cover [address, address + size).
  uint32_t local_key() const { return local_key_; }
  uint32_t remote_key() const { return remote_key_; }
  // Page-rounded around what was asked for; perhaps more, where an outer registration is shared.
  uint64_t address() const { return address_; }
  size_t size() const { return size_; }

 protected:
  Memory(uint64_t address, size_t size, uint32_t local_key, uint32_t remote_key)
      : address_(address), size_(size), local_key_(local_key), remote_key_(remote_key) {}

 private:
  uint64_t address_;
  size_t size_;
  uint32_t local_key_, remote_key_;
};

// Relaxed: the device may write across PCIe in any order until the completion, which is faster on some hosts. Strict:
// for memory whose last bytes a CPU polls without a completion.
enum class Ordering : uint8_t { kRelaxed, kStrict };

}  // namespace relay::transport::rdma
