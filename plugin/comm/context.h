// All state of one init(): knobs, the line to the agent, the service thread, every comm. No globals beside the device
// table that NCCL asks for without a context (comm/device.h).
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <vector>

#include "base/fork_guard.h"
#include "comm/agent_link.h"
#include "comm/comm.h"
#include "comm/connect_machine.h"
#include "comm/gpu_support.h"
#include "comm/handle.h"
#include "comm/rdma_end.h"
#include "comm/this_build.h"
#include "relay/counters.h"
#include "stream/service.h"

namespace relay::comm {

class Context {
 public:
  // kProcess: no finalize will come, so that whenever the last comm is closed might be the end.
  enum class Life : uint8_t { kFinalized, kProcess };

  // Reaches or starts the node's agent; blocks up to the connect timeout.
  static Result<std::unique_ptr<Context>> Create(const Getenv& getenv_fn, const char* const* environment,
                                                 Life life = Life::kFinalized);
  // Waits, bounded by NCCL_RELAY_LINGER, until the peers of all closed connections know it.
  ~Context();

  // Never block, but for Close of the last comm with kProcess. nullptr from Connect and Accept: not yet, ask again with
  // the same arguments.
  Result<ListenComm*> Listen(std::span<std::byte, kHandleBytes> handle);
  Result<Comm*> Connect(std::span<const std::byte, kHandleBytes> handle);
  Result<Comm*> Accept(ListenComm& listen);
  void CloseListen(ListenComm* listen);
  void Close(Comm* comm);

  const control::Welcome& welcome() const { return link_.welcome(); }

 private:
  struct Attempt {
    ConnectMachine machine;
    control::Connect connect;
    std::string node_name;
    uint64_t request = 0;
    std::optional<RdmaSendEnd> rdma{};  // of the path that the agent tries now
  };

  Context(Knobs knobs, Life life);
  Status Start();
  GpuSupport OfferGpuMemory();
  void WatchAgent();
  void FindAgent();
  Result<Comm*> Advance(Attempt& attempt);
  Result<Comm*> TakeOutcome(Attempt& attempt);
  Result<Comm*> MakeSendComm(Attempt& attempt, control::Received received);
  Result<Comm*> MakeRecvComm(ListenComm& listen, control::Received received);
  Status JudgeAccept(ListenComm& listen);
  Comm* AddComm(Comm::Kind kind, const Token& token, std::shared_ptr<stream::Stream> stream, Devices devices);
  void Prepare(Attempt& attempt, const control::Prepare& where);
  std::optional<RdmaRecvEnd> MakeRecvEnd(control::Arrived& arrived, int socket) const;
  stream::StreamOptions OptionsFor(std::string peer, std::string near_link) const;
  void SayAloud(const std::string& note, const Peer& peer);
  void AwaitPeers();
  void AwaitTransit();

  const fork_guard::Life fork_guard_;
  const Knobs knobs_;
  const Life life_;
  SystemClock clock_;
  Counters counters_;
  AgentLink link_;
  stream::Service service_;
  int watched_fd_ = -1;  // the link's, as the service watches it; service thread only
  std::atomic<bool> finding_agent_{false};

  std::mutex mutex_;                   // guards what follows
  std::map<Token, Attempt> attempts_;  // a handle names one connection
  std::vector<std::unique_ptr<ListenComm>> listens_;
  std::vector<std::unique_ptr<Comm>> comms_;
  std::set<std::string> said_;
};

}  // namespace relay::comm
