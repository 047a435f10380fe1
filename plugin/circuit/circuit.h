// The end of an open circuit inside an endpoint process: whole frames over the first hop, in both directions.
// Owned by a stream, guarded by its lock. Nothing here allocates after construction.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

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
  // The current frame has all its payload (at once for frames without).
  virtual Status OnFrameEnd() = 0;
};

class Circuit {
 public:
  // `path` is for sentences. Counters outlive the circuit.
  Circuit(std::unique_ptr<transport::Hop> hop, CircuitName name, std::string path, Counters& counters);

  // Output ------------------------------------------------------------------------------------------------------
  // Raw bytes ahead of all frames: OPENED. Before anything else is queued.
  void QueueSetup(std::span<const std::byte> bytes);
  // False when no room is left; try again after Flush.
  [[nodiscard]] bool QueueControl(const FrameHeader& header);
  // One DATA frame at a time; `payload` stays the caller's until data_pending() is false.
  bool data_pending() const { return data_size_ != 0; }
  void StartData(const FrameHeader& header, const std::byte* payload);
  // DATA frames carry a checksum from now on; they are of kMaxChecksummedBytes at most.
  void AddChecksums() { adds_checksums_ = true; }
  // kDone: everything is with the kernel. kAgain: wait for writable.
  Result<Progress> Flush();
  bool wants_write() const { return data_pending() || control_begin_ != control_end_; }
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
  int Gather(iovec* pieces) const;
  void Consume(size_t sent);
  Result<size_t> Fill(std::span<const iovec> pieces);
  Result<Progress> ReceiveHeader(FrameSink& sink);
  Result<Progress> ReceivePayload(FrameSink& sink);
  Status EndFrame(FrameSink& sink);
  Status Verify();

  std::unique_ptr<transport::Hop> hop_;
  CircuitName name_;
  std::string path_;
  Counters& counters_;

  // Control frames, encoded, [begin, end). They never split a DATA frame.
  std::vector<std::byte> control_;
  size_t control_begin_ = 0, control_end_ = 0;
  FrameBytes data_header_{};
  const std::byte* data_payload_ = nullptr;
  size_t data_size_ = 0, data_sent_ = 0;  // header and payload; size 0: no frame in progress
  bool adds_checksums_ = false;

  std::vector<std::byte> input_;  // read ahead, [begin, end)
  size_t input_begin_ = 0, input_end_ = 0;
  uint64_t payload_missing_ = 0;
  bool in_payload_ = false;
  bool verifies_ = false;            // the frame being received
  uint32_t sum_ = 0, told_sum_ = 0;  // of what has come of it; what its header says of all of it
  uint64_t moved_bytes_ = 0;
  bool broken_ = false;
  int receive_calls_ = 0;  // of this Receive
};

}  // namespace relay::circuit
