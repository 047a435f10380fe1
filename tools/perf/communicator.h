// One rank's part of a communicator, from init() to finalize(), on the threads NCCL would use: init thread, service
// thread, progress thread, and one kernel thread per channel. The main thread only waits, and watches the other ranks.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "perf/kernel.h"
#include "perf/net.h"
#include "perf/options.h"
#include "perf/progress.h"
#include "perf/rendezvous.h"
#include "perf/runner.h"

namespace relay::perf {

struct CommunicatorFacts {
  const Options& options;
  const World& world;
  Rendezvous& rendezvous;
  Net& net;
};

class Communicator {
 public:
  // init(), devices(), getProperties().
  static Result<std::unique_ptr<Communicator>> Init(const CommunicatorFacts& facts);
  // As Close(), and what fails then is only printed.
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  // The connections that these steps of channel 0, 1, ... use. Once.
  Status Connect(const std::vector<Steps>& steps_by_channel, const Layouts& layouts);

  // Launches one kernel per channel and its operations; Wait() ends when the kernels have, which an error makes them.
  // `launches` outlive both.
  void Start(const std::vector<Launch>& launches);
  Status Wait();
  // Nothing is asked of the plugin for so long; the other ranks are watched.
  Status Rest(double seconds);
  // No request is under way: the layout may change, and the memory.
  Status Drain();

  // Kernels and the progress thread stop where they are. Returns how many requests are in flight.
  size_t Stop();
  // A listen comm that nobody ever closes, as NCCL leaves when a set-up is aborted.
  Status LeakListenComm();
  // Stops, then on the service thread for every connection: deregMr, close*, and the memory goes at once. Last
  // finalize().
  Status Close();

  const Properties& properties() const { return properties_; }
  uint64_t moved() const { return latch_.moved.load(std::memory_order_relaxed); }
  bool failed() const { return latch_.raised(); }
  // With --gap.
  std::chrono::nanoseconds longest_gap() const { return progress_->longest_gap(); }

 private:
  explicit Communicator(const CommunicatorFacts& facts);
  Status OnThread(Runner& runner, std::vector<Runner::Task> tasks);
  Status RunToEnd(Runner& runner, std::vector<Runner::Task> tasks);
  Status Await(const std::function<Result<Progress>(std::chrono::milliseconds)>& ended);
  Status CallInit();
  Status AskProperties();
  void MakeConnections(const std::vector<Steps>& steps_by_channel, const Layouts& layouts);
  Status Listen(Connection& connection);
  Status ExchangeHandles();
  Result<Progress> Advance(Connection& connection);
  Status Register(Connection& connection);
  Status Release(Connection& connection);
  Status Judge(const char* call, ncclResult_t result) const;
  void SayPhase(const std::string& phase) const;

  const CommunicatorFacts facts_;
  Latch latch_;
  Runner init_{"init"}, service_{"service"};
  void* context_ = nullptr;
  bool initialised_ = false, worked_ = false, closed_ = false;
  int device_ = 0;
  Properties properties_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::unique_ptr<ProgressThread> progress_;
  std::vector<std::unique_ptr<Block>> blocks_;  // by channel
};

}  // namespace relay::perf
