// Where the ranks meet beside NCCL: TCP connections from every rank to rank 0. Carries NCCL's unique id, barriers, and
// figures of each row. Every wait has a deadline and ends in Fail(). Used by the main thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <type_traits>
#include <vector>

#include "perf/options.h"

namespace perf {

class Rendezvous {
 public:
  Rendezvous(const Environment& environment, std::chrono::seconds limit);
  ~Rendezvous();
  Rendezvous(const Rendezvous&) = delete;
  Rendezvous& operator=(const Rendezvous&) = delete;

  void Broadcast(void* data, size_t size);  // from rank 0
  void Barrier();

  // Rank 0 gets everybody's, by rank. The others only send and do not wait, so that they may leave right after.
  template <class T>
  std::vector<T> Gather(const T& own) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::vector<T> all(environment_.rank == 0 ? fds_.size() : 0);
    if (environment_.rank == 0) all[0] = own;
    GatherBytes(&own, all.data(), sizeof own);
    return all;
  }

 private:
  using Deadline = std::chrono::steady_clock::time_point;

  void GatherBytes(const void* own, void* all, size_t size);
  void Listen();
  void Connect();
  Deadline NewDeadline() const { return std::chrono::steady_clock::now() + limit_; }
  void Write(int peer, const void* data, size_t size, Deadline deadline);
  void Read(int peer, void* data, size_t size, Deadline deadline);
  int FdOf(int peer) const { return fds_[static_cast<size_t>(peer)]; }

  const Environment environment_;
  const std::chrono::seconds limit_;
  std::vector<int> fds_;  // by peer; -1 where there is no connection
};

}  // namespace perf
