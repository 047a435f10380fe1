// What NCCL holds pointers to: listen, send and receive comms and memory registrations. Owned by their context, which
// also frees what NCCL leaks when an initialisation is aborted.
#pragma once
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "relay/result.h"
#include "relay/setup.h"
#include "stream/stream.h"
#include "transport/rdma/device.h"

namespace relay::comm {

// The kinds of pointers NCCL registers, as it numbers them.
inline constexpr int kHostPointer = 0x1;

struct MemoryRegion {
  std::byte* data = nullptr;
  size_t size = 0;
  // On each device that moves the messages of this comm, in the order of its lane's stripes; empty: none does.
  std::vector<std::shared_ptr<transport::rdma::Memory>> memory{};
};

class Context;

// A send or receive comm: one end of a connection.
class Comm {
 public:
  enum class Kind : uint8_t { kSend, kRecv };

  // `devices`: those that move the messages, one for each stripe of the lane; none: the socket carries them.
  Comm(Kind kind, Context& context, Token token, std::shared_ptr<stream::Stream> stream,
       std::vector<std::shared_ptr<transport::rdma::Device>> devices)
      : kind_(kind), context_(context), token_(token), stream_(std::move(stream)), devices_(std::move(devices)) {}

  // GPU memory only where a device moves the messages. The region lives until Deregister or the comm's end. Any thread.
  Result<MemoryRegion*> Register(void* data, size_t size, int pointer_kind);
  // GPU memory behind a descriptor, which stays the caller's.
  Result<MemoryRegion*> RegisterDmaBuf(void* data, size_t size, uint64_t offset, int fd);
  // Afterwards nothing of this process touches the memory for this comm; nullptr is fine.
  void Deregister(MemoryRegion* region);

  // isend and irecv. nullptr: not now, try later.
  Result<stream::Request*> Post(void* data, size_t size, MemoryRegion* region, bool in_order);

  Context& context() { return context_; }
  Kind kind() const { return kind_; }
  const Token& token() const { return token_; }
  stream::Stream& stream() { return *stream_; }

 private:
  MemoryRegion* Keep(MemoryRegion region);

  const Kind kind_;
  Context& context_;
  const Token token_;
  const std::shared_ptr<stream::Stream> stream_;  // shared with the service, which drives it on as a remnant
  const std::vector<std::shared_ptr<transport::rdma::Device>> devices_;
  std::mutex mutex_;
  std::list<MemoryRegion> regions_;
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
