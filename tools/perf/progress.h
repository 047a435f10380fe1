// NCCL's proxy progress thread: isend, irecv, test and iflush for all connections, by polling; asleep while there is no
// operation. Where kernel and progress share one thread, the kernel's lends it its turns.
#pragma once
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "perf/connection.h"
#include "perf/gap.h"
#include "perf/latch.h"
#include "perf/net.h"

namespace relay::perf {

// So many messages on one connection. Operations of one connection run in order, one at a time.
struct Operation {
  Connection* connection;
  Protocol protocol;
  uint64_t messages;
};

class ProgressThread {
 public:
  struct Facts {
    Net* net;
    void* context;
    int rank;
    bool flush;                        // Simple receives, as with GPU memory
    bool borrowed = false;             // no thread of its own: it goes on in Turn() and Idle()
    bool gap = false;                  // measures the longest
    std::chrono::milliseconds late{};  // the first receives are posted so long after they could be
  };
  ProgressThread(const Facts& facts, Latch& latch);
  // The latch is raised: ends in the next pass.
  ~ProgressThread();
  ProgressThread(const ProgressThread&) = delete;
  ProgressThread& operator=(const ProgressThread&) = delete;

  void Post(const std::vector<Operation>& operations);
  // Borrowed: one look at everything, by one thread at a time. True: something moved.
  bool Turn();
  // No operation is left.
  bool Idle(std::chrono::milliseconds wait);
  // Waits until the thread has left its loop, which it does once the latch is raised.
  void Join();
  std::chrono::nanoseconds longest_gap() const { return gap_.longest(); }

 private:
  struct Active {
    Connection* connection;
    std::deque<Operation> queue;
    uint64_t end;  // messages of the connection when the first of the queue is over
  };
  void Loop();
  bool TurnUntilIdle(std::chrono::milliseconds wait);
  void Adopt(const Operation& operation);
  bool Pass();
  Result<bool> Advance(Active& active);
  Result<bool> AdvanceSend(Active& active);
  Result<bool> AdvanceReceive(Active& active);
  Result<bool> PostReceive(Active& active);
  bool IsLate();
  void NotePosted();
  void NoteCompleted(Connection& connection);
  Result<bool> TestReceive(Active& active);
  Result<bool> Test(void* request, int* size, const Connection& connection);
  tl::unexpected<Error> Failed(const char* call, const Connection& connection, ncclResult_t result) const;
  tl::unexpected<Error> Broken(const std::string& what, const Connection& connection) const;

  const Facts facts_;
  Latch& latch_;
  std::vector<Active> active_;  // this thread's
  GapMeter gap_;
  std::optional<GapMeter::Clock::time_point> receives_from_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Operation> posted_;
  bool idle_ = true, left_ = false;
  std::thread thread_;
};

}  // namespace relay::perf
