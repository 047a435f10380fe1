// One end of a connection: its messages, over one circuit after the other. SendStream and RecvStream fill in the
// direction.
//
//   on a circuit --the circuit breaks--> without one --Adopt, with a later epoch--> on a circuit
//   In both: Close --> remnant --the peer's end, or a deadline--> finished
//            the peer is gone, or NCCL_RELAY_RECOVER_TIMEOUT --> failed
//
// Threads: every public function takes the one lock; NCCL's proxy thread drives from Post and Test, the service thread
// (stream/service_thread.h) drives what NCCL leaves. The caller's memory is touched only under the lock, for a posted
// request.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "circuit/circuit.h"
#include "relay/counters.h"
#include "stream/carrier.h"
#include "stream/closing.h"
#include "stream/outage.h"
#include "stream/recovery.h"
#include "stream/request.h"
#include "stream/silence.h"

namespace relay::stream {

class ServiceThread;

struct StreamOptions {
  std::string peer;            // "C": for sentences
  uint64_t segment = 1 << 20;  // payload bytes per frame
  Duration recover_timeout{};  // outstanding messages without a sign of life
  Duration linger{};           // a remnant's deadline
};

// What the devices of the present circuit call the memory of a region. Called under the stream's lock.
using KeysOf = std::function<transport::StripeKeys(const void* region)>;
// Called under the stream's lock when the circuit before is gone and its successor has taken its place.
using OnTaken = std::function<void()>;

class Stream : protected circuit::FrameSink {
 public:
  // With recovery, a broken circuit is not the end: whoever has it calls Adopt of the direction.
  Stream(StreamOptions options, Counters& counters);
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

  // For whoever recovers it, on the service thread ------------------------------------------------------------------
  void set_recovers(bool recovers) { recovers_ = recovers; }
  // Before the first request. Without, a buffer's keys are those that Post was given.
  void set_keys(KeysOf keys) { keys_of_ = std::move(keys); }
  // A link of the present circuit is said to be gone, in this sentence.
  void Warn(const std::string& sentence);
  // Another circuit is being opened while the present one may still work.
  void Replacing(bool replacing);
  // Why there is no other circuit yet.
  void NoteTrouble(std::string sentence);
  // The peer's process lives: what it owes may take as long as it likes.
  void PeerLives();
  // The peer's end is no more.
  void PeerGone(const std::string& sentence);
  // This connection cannot go on, for a reason that lies in setting up circuits.
  void GiveUp(Error error);

  // For the service thread ----------------------------------------------------------------------------------------
  struct Attention {
    bool finished = false;  // a remnant with nothing left to do
    bool waits = false;     // time matters: requests are outstanding or a remnant lingers
    bool soon = false;      // and a moment of it does
    bool wants_write = false;
    int fd = -1;       // -1: no circuit
    int lane_fd = -1;  // -1: no lane
    Recovery::Need need{};
  };
  // Moves what can move, and judges deadlines when `housekeeping`. `watch` runs under the lock, so that the descriptor
  // is still this stream's; it may set `armed`.
  Attention Attend(TimePoint now, bool housekeeping, const std::function<void(const Attention&)>& watch);
  // Changes whenever NCCL drives.
  uint64_t calls() const { return calls_.load(std::memory_order_relaxed); }
  void set_service(ServiceThread* service) { service_ = service; }
  // True: the service watches the socket, NCCL does not drive. Written by both, see ServiceThread.
  std::atomic<bool> armed{false};
  // NCCL does not drive yet, or will not again, or the circuit is lost: the service need not look first.
  std::atomic<bool> left{true};

 protected:
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

  // What differs by direction, all under the lock.
  virtual Status OnPosted(Request& request) = 0;
  virtual Status OnResume(const FrameHeader& header) = 0;
  // Without a circuit, this end still owes the peer an answer: a remnant waits for the next one.
  virtual bool OwesAnswer() const = 0;
  // Grows with every message, and every part of one, that has come over.
  virtual uint64_t Reached() const = 0;

  // Under the lock: this circuit and its end take the place of the last, which was dropped. `over`: its path, for
  // sentences; `near_link`: "A ab--ba B", the one whose hop ends here.
  struct Place {
    std::string over, near_link;
  };
  void Take(std::unique_ptr<circuit::Circuit> circuit, std::unique_ptr<Carrier> end, Place place,

            const OnTaken& on_taken);
  // Under the lock: nothing comes over the present circuit any more.
  void Drop();
  bool failed() const { return failure_.has_value(); }
  void SayReady() { pong_due_ = true; }  // a frame for the peer

  Requests& requests() { return requests_; }
  circuit::Circuit* circuit() { return circuit_.get(); }
  Carrier* end() { return end_.get(); }
  const StreamOptions& options() const { return options_; }
  Counters& counters() { return counters_; }
  void Drive(bool receive);

 private:
  Status OnFrame(const FrameHeader& header) final;
  std::span<std::byte> PayloadSpace() final { return end_->Space(); }
  void OnPayload(size_t bytes) final { end_->OnSpaceFilled(bytes); }
  Status OnFrameEnd() final;

  Status CheckOpen();
  tl::unexpected<Error> Failure();
  void Enter();
  void End(Error error);
  void Lose(Error error);
  bool MayRecoverFrom(const Error& error) const;
  Status DriveCircuit(bool receive);
  Status OnClose(const FrameHeader& header);
  void Break(Error error);
  std::string AdviceFor(int err) const;
  std::string Peer() const;
  void Abort(Error error);
  void Judge(TimePoint now);
  Attention NeedsNow() const;
  bool QueueClose(CloseReason reason);
  bool SocketIsDue();
  void PrepareSleep();
  uint64_t Moved() const;
  bool Waits() const;

  std::mutex mutex_;
  std::atomic<uint32_t> waiting_{0};
  std::unique_ptr<circuit::Circuit> circuit_;  // null: lost, or dropped at the end
  std::unique_ptr<Carrier> end_;               // goes with it
  Place place_;                                // of the present circuit, or of the last
  const StreamOptions options_;
  Counters& counters_;
  ServiceThread* service_ = nullptr;
  bool recovers_ = false;
  KeysOf keys_of_;
  std::atomic<uint64_t> calls_{0};

  Requests requests_;
  std::optional<Error> failure_;  // set once; the circuit is gone then
  FrameHeader frame_;             // being received
  bool ping_due_ = false, pong_due_ = false;
  bool attending_ = false;       // the service thread drives
  uint64_t answers_ = 0;         // to PING
  uint32_t socket_skipped_ = 0;  // drives since the socket was read
  Closing closing_;
  Outage outage_;
  Silence silence_;
};

}  // namespace relay::stream
