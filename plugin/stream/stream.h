// One end of a connection: its messages over its circuit. SendStream and RecvStream fill in the direction.
//
// Threads: every public function takes the one lock; NCCL's proxy thread drives from Post and Test, the service thread
// (stream/service.h) drives what NCCL leaves. The caller's memory is touched only under the lock, for a posted request.
#pragma once
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "circuit/circuit.h"
#include "relay/counters.h"
#include "stream/request.h"
#include "stream/send_window.h"

namespace relay::stream {

class Service;

struct StreamOptions {
  std::string peer;            // "C over A ab--ba B bc--cb C": for sentences
  std::string near_link{};     // "A ab--ba B": the one whose hop ends here
  uint64_t segment = 1 << 20;  // payload bytes per frame
  Duration recover_timeout{};  // outstanding messages without a sign of life
  Duration linger{};           // a remnant's deadline
};

class Stream : protected circuit::FrameSink {
 public:
  Stream(std::unique_ptr<circuit::Circuit> circuit, StreamOptions options, Counters& counters);
  ~Stream() override = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Posts a message. kAgain as nullptr: no request is free, try later. Drives.
  Result<Request*> Post(const Buffer& buffer, bool in_order);
  // kDone once, with the message's bytes; the request is free again. Drives while it is not done.
  Result<Progress> Test(Request& request, uint64_t& size);
  // The region goes away: requests inside it are cancelled, and with them the connection. No thread touches the
  // memory after this returns.
  void CancelRegion(const void* region);
  // The caller is gone and all its memory with it. What is left is a remnant: the service answers the peer until its
  // CLOSE or the deadline.
  void Close();

  // For the service thread ----------------------------------------------------------------------------------------
  struct Attention {
    bool finished = false;  // a remnant with nothing left to do
    bool waits = false;     // time matters: requests are outstanding or a remnant lingers
    bool wants_write = false;
    int fd = -1;       // -1: no circuit
    int lane_fd = -1;  // -1: no lane
  };
  // Moves what can move, and judges deadlines when `housekeeping`. `watch` runs under the lock, so that the descriptor
  // is still this stream's; it may set `armed`.
  Attention Attend(TimePoint now, bool housekeeping, const std::function<void(const Attention&)>& watch);
  // Changes whenever NCCL drives.
  uint64_t calls() const { return calls_.load(std::memory_order_relaxed); }
  void set_service(Service* service) { service_ = service; }
  // True: the service watches the socket, NCCL does not drive. Written by both, see Service.
  std::atomic<bool> armed{false};
  // NCCL does not drive yet, or will not again: the service need not look first.
  std::atomic<bool> left{true};

 protected:
  // What differs by direction, all under the lock.
  virtual Status OnPosted(Request& request) = 0;
  // Queues what may go; true when a DATA frame was started.
  virtual bool Push() = 0;
  virtual Status OnCircuitFrame(const FrameHeader& header) = 0;
  virtual Status OnCircuitFrameEnd(const FrameHeader& header) = 0;
  virtual std::span<std::byte> Space() = 0;
  virtual void OnSpaceFilled(size_t bytes) = 0;
  // Where a device moves the messages: nothing else is asked about the lane once it was dropped.
  virtual transport::Lane* lane() { return nullptr; }
  virtual void DropLane() {}
  virtual Status DriveLane() { return {}; }
  // False: the socket tells of nothing but the end, and is read now and then.
  virtual bool NeedsSocket() const { return true; }

  bool HasPosted() const { return finished_requests_ != posted_; }
  Request& RequestOf(uint64_t message) { return requests_[message % kMaxRequests]; }
  void Finish(Request& request, uint64_t size);

  circuit::Circuit* circuit() { return circuit_.get(); }
  const StreamOptions& options() const { return options_; }
  Counters& counters() { return counters_; }
  uint64_t posted() const { return posted_; }  // messages posted so far
  bool heard() const { return heard_; }        // a frame has come
  void SayReady() { pong_due_ = true; }        // a frame for the peer

 private:
  Status OnFrame(const FrameHeader& header) final;
  std::span<std::byte> PayloadSpace() final { return Space(); }
  void OnPayload(size_t bytes) final;
  Status OnFrameEnd() final;

  Status CheckOpen();
  tl::unexpected<Error> Failure();
  void Enter();
  void Drive(bool receive);
  void End(Error error);
  Status DriveCircuit(bool receive);
  Status OnClose(const FrameHeader& header);
  void Break(Error error);
  std::string AdviceFor(int err) const;
  void Abort(Error error);
  void JudgeSilence(TimePoint now);
  bool QueueClose(CloseReason reason);
  bool SocketIsDue();
  void Drop();
  void PrepareSleep();
  uint64_t Moved();

  // A mutex goes to whoever is there when it is let go, and a thread that tests without pause nearly always is. Whoever
  // else wants the lock says so while it waits, and Test leaves it to them.
  class Turn {
   public:
    explicit Turn(Stream& stream) : lock_(stream.mutex_, std::defer_lock) {
      stream.waiting_.fetch_add(1, std::memory_order_relaxed);
      lock_.lock();
      stream.waiting_.fetch_sub(1, std::memory_order_relaxed);
    }

   private:
    std::unique_lock<std::mutex> lock_;
  };

  std::mutex mutex_;
  std::atomic<uint32_t> waiting_{0};
  std::unique_ptr<circuit::Circuit> circuit_;
  const StreamOptions options_;
  Counters& counters_;
  Service* service_ = nullptr;
  std::atomic<uint64_t> calls_{0};

  std::array<Request, kMaxRequests> requests_;
  uint64_t posted_ = 0;
  uint64_t finished_requests_ = 0;  // messages below are done, failed or cancelled
  std::optional<Error> failure_;    // set once; the circuit is gone then
  FrameHeader frame_;               // being received
  bool ping_due_ = false, pong_due_ = false, heard_ = false;
  bool attending_ = false;       // the service thread drives
  uint32_t socket_skipped_ = 0;  // drives since the socket was read
  bool closed_ = false;          // by the caller: this is a remnant
  bool close_due_ = false, close_sent_ = false, close_received_ = false;
  bool close_told_ = false;  // to the caller, who went on posting
  CloseReason close_reason_ = CloseReason::kDone;

  // Silence is judged by change, so that no clock is read while data moves.
  uint64_t moved_seen_ = 0;
  bool was_waiting_ = false;
  TimePoint last_sign_{}, last_ping_{}, closed_at_{};
};

}  // namespace relay::stream
