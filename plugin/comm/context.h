// All state of one init(): knobs, the line to the agent, the service thread, every comm. No globals beside the device
// table that NCCL asks for without a context (comm/device.h).
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/fork_guard.h"
#include "comm/comm.h"
#include "comm/handle.h"
#include "comm/memory/gpu_support.h"
#include "comm/opening/agent_client.h"
#include "comm/opening/arrival.h"
#include "comm/opening/connect_machine.h"
#include "comm/opening/opening.h"
#include "relay/counters.h"
#include "stream/service_thread.h"

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

  const control::Welcome& welcome() const { return agent_.welcome(); }

 private:
  struct Attempt {
    ConnectMachine machine;
    control::Connect connect;
    std::string node_name;
    std::unique_ptr<Opening> opening{};
  };

  Context(Knobs knobs, Life life);
  Status Start();
  GpuSupport OfferGpuMemory();
  void WatchAgent();
  void FindAgent();
  Result<Comm*> Advance(Attempt& attempt);
  Result<Comm*> TakeOutcome(Attempt& attempt);
  Comm* MakeSendComm(Attempt& attempt, Opening::Opened opened);
  Comm* MakeRecvComm(ListenComm& listen, control::Received received);
  Status JudgeAccept(ListenComm& listen);
  Comm* AddComm(Comm::Kind kind, std::shared_ptr<stream::Stream> stream, Devices devices);
  CircuitTools Tools() { return {agent_, knobs_, counters_, aloud_}; }
  stream::StreamOptions OptionsFor(std::string peer) const;
  void AwaitPeers();
  void AwaitTransit();

  const fork_guard::Life fork_guard_;
  const Knobs knobs_;
  const Life life_;
  SystemClock clock_;
  Counters counters_;
  SayOnce aloud_;
  AgentClient agent_;
  stream::ServiceThread service_;
  int watched_fd_ = -1;  // the agent's, as the service watches it; service thread only
  std::atomic<bool> finding_agent_{false};

  std::mutex mutex_;                   // guards what follows
  std::map<Token, Attempt> attempts_;  // a handle names one connection
  std::vector<std::unique_ptr<ListenComm>> listens_;
  std::vector<std::unique_ptr<Comm>> comms_;
};

}  // namespace relay::comm
