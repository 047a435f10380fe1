// What NCCL's kernel does on the GPU, here one thread per channel: waits for messages, adds, copies, fills slots. With
// LL and LL128 it polls the receive buffers themselves, whatever the progress thread knows.
#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "perf/connection.h"
#include "perf/latch.h"
#include "perf/step.h"

namespace relay::perf {

// One call of a collective, on one channel.
struct Launch {
  Steps steps;
  std::span<const float> input;
  std::span<float> output, scratch;
  Protocol protocol = Protocol::kSimple;
  int repetitions = 1;
  std::vector<std::chrono::steady_clock::time_point>* ends = nullptr;  // of every repetition, if wanted
  // Counts down the messages that bring anything; the one that makes it 0 gets a bit flipped.
  std::atomic<int64_t>* until_corrupt = nullptr;
};

class Block {
 public:
  // Uses those of `connections` that are of this channel; they outlive the block. `meanwhile`: what else this thread
  // does in every pass; empty: nothing, and it yields when nothing moves.
  Block(int channel, const std::vector<std::unique_ptr<Connection>>& connections, int ranks, Latch& latch,
        std::function<void()> meanwhile = {});
  // The latch is raised: ends in the next pass.
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  // The one before must have ended. `launch` stays the caller's.
  void Start(const Launch& launch);
  bool Ended(std::chrono::milliseconds wait);

 private:
  // This side of one connection.
  struct Port {
    Connection* connection = nullptr;
    uint64_t next = 0;            // message that the next step takes or fills
    size_t decoded = 0;           // floats of it that have come
    std::vector<float> staged{};  // by LL and LL128
    uint64_t blocked = 0;         // the pass in which an earlier step waits for this port
  };

  void Loop();
  void Execute(const Launch& launch);
  bool Pass(const Launch& launch);
  bool Free(const Step& step);
  bool Ready(const Launch& launch, const Step& step);
  bool Arrived(const Launch& launch, Port& port, size_t count);
  void Perform(const Launch& launch, const Step& step);
  void Send(const Launch& launch, Port& port, std::span<const float> value);
  std::span<float> Received(const Launch& launch, Port& port, size_t count);
  Port& From(int rank) { return receives_[static_cast<size_t>(rank)]; }
  Port& To(int rank) { return sends_[static_cast<size_t>(rank)]; }

  Latch& latch_;
  const std::function<void()> meanwhile_;
  std::vector<Port> receives_, sends_;  // by rank
  size_t ports_ = 0;                    // that have a connection
  std::vector<float> sum_;
  std::vector<bool> done_;
  size_t first_ = 0;  // step that is not done
  uint64_t pass_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  const Launch* launch_ = nullptr;
  bool leave_ = false;
  std::thread thread_;
};

}  // namespace relay::perf
