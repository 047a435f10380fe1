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
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/final_error.h"
#include "circuit/circuit.h"
#include "relay/counters.h"
#include "stream/attention.h"
#include "stream/closing.h"
#include "stream/handover.h"
#include "stream/outage.h"
#include "stream/pings.h"
#include "stream/present_circuit.h"
#include "stream/request.h"
#include "stream/silence.h"
#include "stream/standstill.h"
#include "stream/turn.h"

namespace relay::stream {

struct StreamOptions {
  std::string peer;            // "C": for sentences
  uint64_t segment = 1 << 20;  // payload bytes per frame
  Duration recover_timeout{};  // outstanding messages of which nothing arrives
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
  // The region goes away: its requests are cancelled, and with them the connection. No thread touches it afterwards.
  void CancelRegion(const void* region);
  // The caller is gone and all its memory with it. What is left is a remnant: the service answers the peer until its
  // CLOSE or the deadline.
  void Close();

  // Its recovery calls these, on the service thread ------------------------------------------------------------------
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

  // The service thread calls these --------------------------------------------------------------------------------
  // Moves what can move, and judges deadlines when `housekeeping`. `watch` runs under the lock, so that the descriptor
  // is still this stream's; it may set `armed`.
  Attention Attend(TimePoint now, bool housekeeping, const std::function<void(const Attention&)>& watch);
  Handover& handover() { return handover_; }

 protected:
  // What differs by direction, all under the lock.
  virtual Status OnPosted(Request& request) = 0;
  virtual Status OnResume(const FrameHeader& header) = 0;
  // Without a circuit, this end still owes the peer an answer: a remnant waits for the next one.
  virtual bool OwesAnswer() const = 0;
  // Grows with every message, and every segment of one, that has come over.
  virtual uint64_t Reached() const = 0;

  // Under the lock: in place of the last, which was dropped. `near_link`: "A ab--ba", the one whose hop ends here.
  void Take(std::unique_ptr<circuit::Circuit> circuit, std::unique_ptr<Carrier> carrier, std::string near_link,
            const OnTaken& on_taken);
  // Under the lock: nothing comes over the present circuit any more.
  void Drop();
  bool failed() const { return static_cast<bool>(failure_); }
  void SayReady() { pings_.Answer(); }  // a frame for the peer

  TurnMutex& mutex() { return mutex_; }
  Requests& requests() { return requests_; }
  PresentCircuit& present() { return present_; }
  const StreamOptions& options() const { return options_; }
  Counters& counters() { return counters_; }

 private:
  // Whether a drive reads the circuit's socket.
  enum class Socket : uint8_t { kLeave, kIfDue, kRead };

  Status OnFrame(const FrameHeader& header) final;
  std::span<std::byte> PayloadSpace() final { return present_.carrier().PayloadSpace(); }
  void OnPayload(size_t bytes) final { present_.carrier().OnPayload(bytes); }
  Status OnFrameEnd(const FrameHeader& header) final;

  Status CheckOpen();
  void Drive(Socket socket);
  Status DriveCircuit(Socket socket);
  Status OnClose(const FrameHeader& header);
  bool QueueClose(CloseReason reason);
  void End(Error error);
  bool MayRecoverFrom(const Error& error) const;
  void Lose(Error error);
  void Break(Error error);
  void Abort(Error error);
  std::string Peer() const;
  void PrepareSleep();
  void Judge(TimePoint now);
  bool Waits() const;
  Attention NeedsNow() const;

  TurnMutex mutex_;
  const StreamOptions options_;
  Counters& counters_;
  KeysOf keys_of_;
  bool recovers_ = false;
  Handover handover_;
  PresentCircuit present_;
  Pings pings_;
  Requests requests_;
  Closing closing_;
  Outage outage_;
  Silence silence_;
  Standstill standstill_;
  FinalError failure_;  // the circuit is gone then
};

}  // namespace relay::stream
