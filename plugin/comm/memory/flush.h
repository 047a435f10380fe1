// iflush of one receive comm: a read by every device that may have delivered a part of the message, through a queue
// pair with itself. Any thread; Post and Test never block.
#pragma once
#include <array>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "stream/request.h"
#include "transport/rdma/flush_pair.h"

namespace relay::comm {

class Flush;

// What NCCL tests as it tests a receive; its `stream` is null, which tells the two apart.
struct FlushRequest : stream::Request {
  Flush* flush = nullptr;
};

class Flush {
  // More than NCCL has receives outstanding.
  static constexpr size_t kMost = transport::rdma::FlushPair::kMost;

 public:
  using Device = std::shared_ptr<transport::rdma::Device>;
  using OnDevices = std::span<const std::shared_ptr<transport::rdma::Memory>>;  // one registration for each reader

  // One device, by which is read what it may have written.
  struct Reader {
    Device device;
    std::unique_ptr<transport::rdma::FlushPair> pair;
    bool gone = false;                    // the device: it writes no more, and will read nothing
    std::array<uint64_t, kMost> until{};  // of each request: reads of the pair, of which the last is its own; 0: none
  };
  using Readers = std::vector<Reader>;

  // Blocks where an address has to be resolved.
  static Result<Readers> ReadersOf(std::span<const Device> devices, Duration hop_timeout);
  static Result<std::unique_ptr<Flush>> Make(std::span<const Device> devices, Duration hop_timeout);

  // `address` was written, in memory that is registered on each of the devices, and on the former ones where these may
  // have written it. The request is free again when Test has said kDone or an error. Allocates nothing.
  Result<stream::Request*> Post(uint64_t address, OnDevices on_devices, OnDevices on_former = {});
  Result<Progress> Test(FlushRequest& request);

  // Other devices write from now on. What the present ones have written is still flushed by them, until DropFormer.
  void Follow(Readers readers);
  // The former devices write no more: all that they have written into these is visible when this returns, which takes
  // a second at most. Sleeps.
  struct Target {
    uint64_t address = 0;
    OnDevices on_former{};
  };
  void DropFormer(std::span<const Target> targets);

 private:
  Flush() = default;
  static Result<uint64_t> DoneBy(Reader& reader);
  static Status Read(Reader& reader, uint64_t address, const transport::rdma::Memory& memory);
  size_t Sweep(std::span<const Target> targets, size_t next);
  bool Idle();

  std::mutex mutex_;
  Readers present_, former_;
  std::array<FlushRequest, kMost> requests_;  // the place of a flush is its number modulo kMost
  uint64_t posted_ = 0;
};

}  // namespace relay::comm
