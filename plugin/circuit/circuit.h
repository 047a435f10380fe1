// The end of an open circuit inside an endpoint process: whole frames over the first hop, in both directions.
// Owned by a stream, guarded by its lock. Nothing here allocates after construction.
#pragma once
#include <memory>
#include <span>
#include <string>

#include "circuit/frame_input.h"
#include "circuit/frame_output.h"
#include "relay/counters.h"
#include "relay/frame.h"
#include "relay/result.h"
#include "relay/setup.h"
#include "relay/transport.h"

namespace relay::circuit {

// What arrives. Called from Circuit::Receive, frame by frame.
class FrameSink {
 public:
  virtual ~FrameSink() = default;
  // A header; for DATA `header.length` bytes of payload follow.
  virtual Status OnFrame(const FrameHeader& header) = 0;
  // Where the next payload bytes of the current DATA frame go; never empty while some are missing.
  virtual std::span<std::byte> PayloadSpace() = 0;
  // So many bytes were written there.
  virtual void OnPayload(size_t bytes) = 0;
  // The current frame, whose header it was, has all its payload (at once for frames without).
  virtual Status OnFrameEnd(const FrameHeader& header) = 0;
};

class Circuit {
 public:
  // `path` is for sentences. Counters outlive the circuit.
  Circuit(std::unique_ptr<transport::Hop> hop, CircuitName name, std::string path, Counters& counters);

  // Output ------------------------------------------------------------------------------------------------------
  // Raw bytes ahead of all frames: OPENED. Before anything else is queued.
  void QueueSetup(std::span<const std::byte> bytes) { output_.QueueSetup(bytes); }
  // False when no room is left; try again after Flush.
  [[nodiscard]] bool QueueControl(const FrameHeader& header);
  // One DATA frame at a time; `payload` stays the caller's until data_pending() is false.
  bool data_pending() const { return output_.data_pending(); }
  void StartData(const FrameHeader& header, const std::byte* payload);
  // DATA frames carry a checksum from now on; they are of kMaxChecksummedBytes at most.
  void AddChecksums() { output_.AddChecksums(); }
  // kDone: everything is with the kernel. kAgain: wait for writable.
  Result<Progress> Flush();
  bool wants_write() const { return !output_.empty(); }
  // After everything queued was flushed: the peer reads the end.
  void ShutdownSend() { hop_->ShutdownSend(); }

  // Input -------------------------------------------------------------------------------------------------------
  // Takes frames until the hop has no more (kAgain) or a fair share was taken (kDone: call again). Of a frame whose
  // checksum is wrong the sink gets neither the last bytes nor the end.
  Result<Progress> Receive(FrameSink& sink);

  const CircuitName& name() const { return name_; }
  const std::string& path() const { return path_; }
  int fd() const { return hop_->fd(); }
  // Grows with bytes received and payload taken by the kernel: a sign of life from the path.
  uint64_t moved_bytes() const { return moved_bytes_; }
  // The hop itself has failed: what Flush or Receive returned is not about the bytes of the peer.
  bool broken() const { return broken_; }

 private:
  Result<size_t> Fill(std::span<const iovec> pieces);
  Result<Progress> ReceiveHeader(FrameSink& sink);
  Result<Progress> ReceivePayload(FrameSink& sink);
  Status EndFrame(FrameSink& sink);
  Status Verify();

  std::unique_ptr<transport::Hop> hop_;
  CircuitName name_;
  std::string path_;
  Counters& counters_;
  FrameOutput output_;
  FrameInput input_;
  uint64_t moved_bytes_ = 0;
  bool broken_ = false;
  int receive_calls_ = 0;  // of this Receive
};

}  // namespace relay::circuit
