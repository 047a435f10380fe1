// How the messages of one circuit travel where devices move them from memory to memory. The circuit's socket stays
// beside its lane: set-up, PING and CLOSE go over it. plugin/transport/rdma implements it.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "relay/result.h"

namespace relay {

// Requests per comm that NCCL may have in flight (NCCL_NET_MAX_REQUESTS), hence messages of a lane under way at a time.
inline constexpr uint64_t kMaxRequests = 32;

}  // namespace relay

namespace relay::transport {

// What a device calls a piece of registered memory; zeros where nothing needs it.
struct MemoryKeys {
  uint32_t local = 0, remote = 0;
};

// Parallel links that the messages of one lane are spread over, one queue pair on each: the functions of a NIC and the
// cables between two nodes are seldom more.
inline constexpr size_t kMaxStripes = 4;
// One for each stripe of the lane, in its order.
using StripeKeys = std::array<MemoryKeys, kMaxStripes>;

// The memory of one message. It must stay as it is until the message is whole or the lane is gone.
struct LaneBuffer {
  std::byte* data = nullptr;
  uint64_t size = 0;
  StripeKeys keys{};
};

// Not thread-safe: the connection's lock guards it. Never blocks, allocates nothing. An error is the end of the lane.
class Lane {
 public:
  // Afterwards no device touches memory on its behalf: what is still under way is given up. Of a sending end that is
  // all there is to its fence: once it is gone, nothing of it reads the caller's memory any more.
  virtual ~Lane() = default;

  // What was queued goes to the device at once.
  virtual Status Ring() = 0;
  // A thread that sleeps calls Arm, looks at everything once more, waits for fd() to be readable, and calls TakeEvents.
  // A capacity that has become known need not wake: a thread that waits for one looks now and then.
  virtual int fd() const = 0;
  virtual Status Arm() = 0;
  virtual void TakeEvents() = 0;
  // Grows whenever something has come or gone: a sign of life from the path.
  virtual uint64_t moved() const = 0;
  // What each device has carried, where there are several: "1048576 bytes by mlx5_0, 1048576 by mlx5_1". Else empty.
  // The one call here that allocates.
  virtual std::string Summary() const { return {}; }
};

// Messages are numbered from 0 in the order of Start.
class SendLane : public Lane {
 public:
  // How much the receive of this message takes, once it is posted. Asked in order, as often as one likes.
  virtual Result<std::optional<uint64_t>> CapacityOf(uint64_t message) = 0;
  // Queues the next message, which has its capacity. False: no room now.
  virtual Result<bool> Start(const LaneBuffer& buffer) = 0;
  // Messages below this one are whole at the receiver. Takes what has come: capacities, too, become known by it.
  virtual Result<uint64_t> Whole() = 0;
};

// Messages are numbered from 0 in the order of Announce.
class RecvLane : public Lane {
 public:
  // Queues the news that the next receive is posted. False: no room now.
  virtual Result<bool> Announce(const LaneBuffer& buffer) = 0;
  // The bytes of the next message that is whole, in order; each once.
  virtual Result<std::optional<uint64_t>> NextWhole() = 0;
  // The end of this lane, whatever has become of it: nothing is placed for it once this has returned, since its queue
  // pairs are gone. What was whole before is still found by NextWhole, which reports a message only if all of it and of
  // those before it came. Takes a second at most, however dead a device is; only then may a message be missed that was
  // whole. Afterwards only NextWhole and the destructor are called. Errors: a peer that has broken the protocol, or a
  // device that keeps its queue pair, so that memory it was given must not be used again.
  virtual Status Fence() = 0;
};

}  // namespace relay::transport
