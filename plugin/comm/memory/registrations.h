// The memory that NCCL has registered with one comm, on the devices that move its messages. Those change when the
// connection goes on by another path; the regions stay, and so does what NCCL holds of them.
#pragma once
#include <array>
#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "comm/memory/flush.h"
#include "relay/lane.h"
#include "relay/result.h"
#include "transport/rdma/device.h"

namespace relay::comm {

// The kinds of pointers NCCL registers, as it numbers them.
inline constexpr int kHostPointer = 0x1, kCudaPointer = 0x2, kDmaBufPointer = 0x4;

// What NCCL holds a pointer to.
struct MemoryRegion {
  using OnDevices = std::vector<std::shared_ptr<transport::rdma::Memory>>;  // in the order of the lane's stripes

  std::byte* data = nullptr;
  size_t size = 0;
  bool gpu = false;     // what a device writes there has to be flushed
  Fd dma_buf{};         // of GPU memory by descriptor: our own, because NCCL closes its own at once
  uint64_t offset = 0;  // in the buffer behind the descriptor

  // On the present devices and on others, by turns (Registrations::turn_). The keys are those of `memory`, once more,
  // where they are read without a lock: the local one in the lower half.
  std::array<OnDevices, 2> memory{};
  std::array<std::array<std::atomic<uint64_t>, transport::kMaxStripes>, 2> keys{};
};

// Any thread, but for what is said of Prepare, Move and DropFormer.
class Registrations {
 public:
  using Devices = std::vector<std::shared_ptr<transport::rdma::Device>>;

  // `devices`: those that move the messages, one for each stripe of the lane; none: the socket carries them.
  // `receives`: what arrives in GPU memory has to be flushed, by reads with this `hop_timeout`.
  Registrations(Devices devices, bool receives, Duration hop_timeout)
      : receives_(receives), hop_timeout_(hop_timeout), devices_{std::move(devices), {}} {}
  Registrations(const Registrations&) = delete;
  Registrations& operator=(const Registrations&) = delete;

  // GPU memory only where devices move the messages. The region lives until Deregister or Clear. May wait for a Prepare
  // that is under way.
  Result<MemoryRegion*> Register(void* data, size_t size, int pointer_kind);
  // GPU memory behind a descriptor, which stays the caller's and may be closed at once.
  Result<MemoryRegion*> RegisterDmaBuf(void* data, size_t size, uint64_t offset, int fd);
  // Nothing outstanding names the region any more. Afterwards no device may touch it on our behalf, and none is about
  // to be told of it: the caller may put other memory in its place.
  void Deregister(MemoryRegion* region);
  // All of them: the comm is closed. Nothing can be registered or moved any more.
  void Clear();

  // What the present devices call the region, in the order of the lane's stripes; zeros where there is nothing to call.
  // No lock, no allocation. Whoever reads them under the lock under which Move is called has those of his lane.
  transport::StripeKeys KeysOf(const void* region) const;

  // iflush: what has arrived in the region so far is visible to the GPU when the request is done. nullptr: nothing is
  // to be flushed, of host memory or without a byte.
  Result<stream::Request*> PostFlush(void* data, size_t size, MemoryRegion* region);

  // A connection goes on by other devices through these three, called by one thread at a time and in this order.
  //
  // Every region is registered on these devices too; on a device that is among the present ones it is the same
  // registration. May take as long as registering does. The present devices stay, and KeysOf with them. An error, with
  // its sentence, leaves everything as it was. In place of an earlier Prepare; the former devices are dropped. Of a
  // comm that is closed nothing has to move.
  Status Prepare(Devices devices);
  // They are the present ones from now on: to be called under the connection's lock, together with the lane's change.
  // Short, but for a registration that is under way. Nothing where nothing was prepared.
  void Move();
  // The lane of the former devices is gone: what they have written is made visible to the GPU, within a second, and
  // their registrations are given back.
  void DropFormer();

 private:
  size_t Present() const { return turn_.load(std::memory_order_acquire) % 2; }
  Result<MemoryRegion*> Keep(std::list<MemoryRegion>& made);
  Status RegisterOn(size_t side, MemoryRegion& region);
  Status PrepareSide(size_t side);
  Status AddFlush();
  void Forget(size_t side);

  const bool receives_;
  const Duration hop_timeout_;

  std::mutex changing_;  // taken first, and for long: who adds, removes or registers a region, or changes devices
  bool closed_ = false, prepared_ = false;
  std::array<Devices, 2> devices_;
  Flush::Readers next_readers_;  // of the devices that were prepared, where they are others

  std::mutex mutex_;  // never for long: the list, each region's memory, flush_
  std::list<MemoryRegion> regions_;
  std::unique_ptr<Flush> flush_;  // of what receives, from its first GPU memory on; goes first

  std::atomic<uint64_t> turn_{0};  // which of the two sides is the present one
};

}  // namespace relay::comm
