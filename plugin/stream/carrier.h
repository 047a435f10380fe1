// How a connection's messages pass this end of its present circuit: as frames over the socket (FrameSender,
// FrameReceiver), or moved by devices beside it (LaneSender, LaneReceiver). What outlives the circuit is elsewhere:
// requests, SendLedger, Inbox. Everything here happens under the stream's lock.
#pragma once
#include <span>
#include <string>

#include "circuit/circuit.h"
#include "relay/lane.h"
#include "stream/fit.h"
#include "stream/request.h"

namespace relay::stream {

class Carrier {
 public:
  virtual ~Carrier() = default;

  virtual Status OnPosted(Request&) { return {}; }
  // Queues what may go; true when a DATA frame was started.
  virtual bool Push(circuit::Circuit&) { return false; }
  // DATA, CTS and ACK. `pending`: the last DATA frame has not left whole.
  virtual Status OnFrame(const FrameHeader& header, bool pending) = 0;
  // The payload of DATA, and its end, as circuit::FrameSink has them.
  virtual std::span<std::byte> PayloadSpace() { return {}; }
  virtual void OnPayload(size_t) {}
  virtual Status OnFrameEnd(const FrameHeader&) { return {}; }
  // No byte comes over this circuit after it returns; what has come counts. An error: a device may go on writing.
  virtual Status Fence() { return {}; }

  // Where devices move the messages, beside the socket.
  virtual bool by_device() const { return false; }
  virtual Status DriveLane() { return {}; }
  // A thread that sleeps calls Arm, looks at everything once more if it says so, and waits for both descriptors. -1:
  // there is none.
  virtual Result<bool> Arm() { return false; }
  virtual int lane_fd() const { return -1; }
  // Grows whenever something has come or gone beside the socket.
  virtual uint64_t moved() const { return 0; }
  // A device of this end has a message under way.
  virtual bool under_way() const { return false; }
  // What each device has carried, where there are several; else empty.
  virtual std::string Summary() const { return {}; }

  // A device that moves the messages is looked at each time; a system call for the socket beside it each time would
  // cost more than all the rest.
  bool SocketIsDue() {
    constexpr uint32_t kSkipped = 256;
    if (!NeedsSocket() && ++socket_skipped_ < kSkipped) return false;
    socket_skipped_ = 0;
    return true;
  }

  void Heard() { heard_ = true; }
  // A device or a queue pair of the lane failed; what ended the circuit is nothing that the peer said.
  bool lane_broken() const { return lane_broken_; }
  void set_lane_broken() { lane_broken_ = true; }

 protected:
  // False: the socket tells of nothing but the end, and is read now and then.
  virtual bool NeedsSocket() const { return true; }
  bool heard() const { return heard_; }  // a frame has come over this circuit

 private:
  uint32_t socket_skipped_ = 0;  // drives since it was read
  bool heard_ = false, lane_broken_ = false;
};

}  // namespace relay::stream
