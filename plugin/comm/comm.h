// What NCCL holds pointers to: listen, send and receive comms and memory registrations. Owned by their context, which
// also frees what NCCL leaks when an initialisation is aborted.
#pragma once
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "comm/flush.h"
#include "relay/result.h"
#include "relay/setup.h"
#include "stream/stream.h"
#include "transport/rdma/device.h"

namespace relay::comm {

// The kinds of pointers NCCL registers, as it numbers them.
inline constexpr int kHostPointer = 0x1, kCudaPointer = 0x2, kDmaBufPointer = 0x4;

struct MemoryRegion {
  std::byte* data = nullptr;
  size_t size = 0;
  // On each device that moves the messages of this comm, in the order of its lane's stripes; empty: none does.
  std::vector<std::shared_ptr<transport::rdma::Memory>> memory{};
  bool gpu = false;  // what a device writes there has to be flushed
};

class Context;

// A send or receive comm: one end of a connection.
class Comm {
 public:
  enum class Kind : uint8_t { kSend, kRecv };

  // `devices`: those that move the messages, one for each stripe of the lane; none: the socket carries them.
  // `hop_timeout`: of reads that flush.
  Comm(Kind kind, Context& context, std::shared_ptr<stream::Stream> stream,
       std::vector<std::shared_ptr<transport::rdma::Device>> devices, Duration hop_timeout)
      : kind_(kind),
        context_(context),
        stream_(std::move(stream)),
        devices_(std::move(devices)),
        hop_timeout_(hop_timeout) {}

  // GPU memory only where a device moves the messages. The region lives until Deregister or the comm's end. Any thread.
  Result<MemoryRegion*> Register(void* data, size_t size, int pointer_kind);
  // GPU memory behind a descriptor, which stays the caller's and may be closed at once: the registration keeps the
  // buffer.
  Result<MemoryRegion*> RegisterDmaBuf(void* data, size_t size, uint64_t offset, int fd);
  // Afterwards nothing of this process touches the memory for this comm; nullptr is fine.
  void Deregister(MemoryRegion* region);

  // isend and irecv. nullptr: not now, try later.
  Result<stream::Request*> Post(void* data, size_t size, MemoryRegion* region, bool in_order);

  // iflush: what has arrived in the region so far is visible to the GPU when the request is done. nullptr: nothing is
  // to be flushed, of host memory or without a byte.
  Result<stream::Request*> PostFlush(void* data, size_t size, MemoryRegion* region);

  Context& context() { return context_; }
  Kind kind() const { return kind_; }
  stream::Stream& stream() { return *stream_; }

 private:
  Result<MemoryRegion*> Keep(MemoryRegion region);

  const Kind kind_;
  Context& context_;
  const std::shared_ptr<stream::Stream> stream_;  // shared with the service, which drives it on as a remnant
  const std::vector<std::shared_ptr<transport::rdma::Device>> devices_;
  const Duration hop_timeout_;
  std::mutex mutex_;
  std::list<MemoryRegion> regions_;
  std::unique_ptr<Flush> flush_;  // of a receive comm, from its first GPU memory on; goes first
};

// Its token outlives it: it goes on to the receive comm.
struct ListenComm {
  Context& context;
  Token token;
  bool accepted = false;
  TimePoint first_accept{};         // when NCCL first asked; zero: not yet
  uint64_t neighbours_request = 0;  // question to the agent about who is missing; 0: not asked
  std::string neighbours{};         // its answer
};

}  // namespace relay::comm
