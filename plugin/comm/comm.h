// What NCCL holds pointers to: listen, send and receive comms and memory registrations. Owned by their context, which
// also frees what NCCL leaks when an initialisation is aborted.
#pragma once
#include <memory>
#include <vector>

#include "base/clock.h"
#include "comm/memory/registrations.h"
#include "relay/result.h"
#include "relay/setup.h"
#include "stream/stream.h"

namespace relay::comm {

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
        registrations_(std::make_shared<Registrations>(std::move(devices), kind == Kind::kRecv, hop_timeout)) {}
  ~Comm() { registrations_->Clear(); }
  Comm(const Comm&) = delete;
  Comm& operator=(const Comm&) = delete;

  // regMr and regMrDmaBuf, as Registrations has them. Any thread.
  Result<MemoryRegion*> Register(void* data, size_t size, int pointer_kind) {
    return registrations_->Register(data, size, pointer_kind);
  }
  Result<MemoryRegion*> RegisterDmaBuf(void* data, size_t size, uint64_t offset, int fd) {
    return registrations_->RegisterDmaBuf(data, size, offset, fd);
  }
  // Afterwards nothing of this process touches the memory for this comm; nullptr is fine.
  void Deregister(MemoryRegion* region);

  // isend and irecv. nullptr: not now, try later.
  Result<stream::Request*> Post(void* data, size_t size, MemoryRegion* region, bool in_order);

  // iflush, as Registrations has it.
  Result<stream::Request*> PostFlush(void* data, size_t size, MemoryRegion* region) {
    return registrations_->PostFlush(data, size, region);
  }

  Context& context() { return context_; }
  Kind kind() const { return kind_; }
  stream::Stream& stream() { return *stream_; }
  // Whoever moves the connection to other devices may hold them beyond the comm, which leaves them empty.
  const std::shared_ptr<Registrations>& registrations() const { return registrations_; }

 private:
  const Kind kind_;
  Context& context_;
  const std::shared_ptr<stream::Stream> stream_;  // shared with the service, which drives it on as a remnant
  const std::shared_ptr<Registrations> registrations_;
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
