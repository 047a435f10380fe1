// How a connection's messages pass this end of its present circuit: as frames over the socket (FrameSender,
// FrameReceiver), or moved by devices beside it (LaneSender, LaneReceiver). What outlives the circuit is elsewhere:
// requests, SendLedger, Inbox. Everything here happens under the stream's lock.
#pragma once
#include <span>

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
  // DATA, CTS, ACK and RESUME. `pending`: the last DATA frame has not left whole.
  virtual Status OnFrame(const FrameHeader& header, bool pending) = 0;
  // Of DATA.
  virtual std::span<std::byte> Space() { return {}; }
  virtual void OnSpaceFilled(size_t) {}
  virtual Status OnFrameEnd(const FrameHeader&) { return {}; }

  // Where a device moves the messages.
  virtual transport::Lane* lane() { return nullptr; }
  virtual Status DriveLane() { return {}; }
  // False: the socket tells of nothing but the end, and is read now and then.
  virtual bool NeedsSocket() const { return true; }
  // No byte comes over this circuit after it returns; what has come counts. An error: a device may go on writing.
  virtual Status Fence() { return {}; }

  void Heard() { heard_ = true; }
  // A device or a queue pair of the lane failed; what ended the circuit is nothing that the peer said.
  bool lane_broken() const { return lane_broken_; }
  void set_lane_broken() { lane_broken_ = true; }

 protected:
  bool heard() const { return heard_; }  // a frame has come over this circuit

 private:
  bool heard_ = false, lane_broken_ = false;
};

}  // namespace relay::stream
