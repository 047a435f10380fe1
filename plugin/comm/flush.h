// iflush of one receive comm: a read by every device that may have delivered a part of the message, through a queue
// pair with itself. Any thread; never blocks, allocates nothing once made.
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
 public:
  static Result<std::unique_ptr<Flush>> Make(std::span<const std::shared_ptr<transport::rdma::Device>> devices,
                                             Duration hop_timeout);

  // `address` was written, in memory that is registered on each of the devices. The request is free again when Test has
  // said kDone or an error. Allocates nothing.
  Result<stream::Request*> Post(uint64_t address, std::span<const std::shared_ptr<transport::rdma::Memory>> on_devices);
  Result<Progress> Test(FlushRequest& request);

 private:
  // More than NCCL has receives outstanding.
  static constexpr size_t kMost = transport::rdma::FlushPair::kMost;

  Flush() = default;

  std::mutex mutex_;
  std::vector<std::unique_ptr<transport::rdma::FlushPair>> pairs_;  // one of each device
  std::array<FlushRequest, kMost> requests_;                        // the place of a flush is its number modulo kMost
  uint64_t posted_ = 0;
};

}  // namespace relay::comm
