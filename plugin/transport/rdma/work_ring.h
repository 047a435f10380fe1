// The numbers of work requests, in the order of posting: a queue's arrays have the place of each at its number modulo
// their depth. [done, queued) are in use; of these, [rung, queued) are one chain that the device has not been given.
#pragma once
#include <cstddef>
#include <cstdint>

namespace relay::transport::rdma {

class WorkRing {
 public:
  explicit WorkRing(uint32_t depth) : depth_(depth) {}

  bool HasRoom(uint32_t more) const { return more <= depth_ - (queued_ - done_); }
  size_t PlaceOf(uint64_t number) const { return number % depth_; }
  uint64_t queued() const { return queued_; }  // of the next to be queued
  uint64_t rung() const { return rung_; }
  uint64_t done() const { return done_; }
  bool chained() const { return queued_ > rung_; }

  void OnQueued() { ++queued_; }
  // The device has been given the chain: of how many.
  uint64_t OnRung() {
    const uint64_t count = queued_ - rung_;
    rung_ = queued_;
    return count;
  }
  // All up to this one are done.
  void OnDone(uint64_t number) { done_ = number + 1; }

 private:
  const uint32_t depth_;
  uint64_t queued_ = 0, rung_ = 0, done_ = 0;
};

}  // namespace relay::transport::rdma
