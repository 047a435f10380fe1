#include "stream/stream.h"

#include <cerrno>
#include <thread>
#include <utility>

#include "base/log.h"
#include "stream/service_thread.h"

namespace relay::stream {

Stream::Stream(StreamOptions options, Counters& counters)
    : options_(std::move(options)),
      counters_(counters),
      requests_(*this),
      closing_(options_.linger),
      silence_(options_.recover_timeout) {}

Status Stream::CheckOpen() {
  if (failure_) return Failure();
  if (!closing_.peer_closed()) return {};
  Error error{ErrorCode::kRemote, 0, Peer() + ": the peer has closed it"};
  error.told = closing_.told();
  closing_.On(Closing::Event::kCallerTold);
  return tl::unexpected<Error>(std::move(error));
}

// NCCL 2.23 to 2.25 test a failed request again without end.
tl::unexpected<Error> Stream::Failure() {
  Error error = *failure_;
  failure_->told = true;
  return tl::unexpected<Error>(std::move(error));
}

void Stream::Enter() {
  calls_.store(calls_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (armed.load() && service_ != nullptr) {
    armed.store(false);
    service_->Resume();
  }
}

Result<Request*> Stream::Post(const Buffer& buffer, bool in_order) {
  std::lock_guard lock(mutex_);
  RELAY_TRY(CheckOpen());
  Request* request = requests_.Post(buffer, in_order);
  if (request == nullptr) return nullptr;
  if (keys_of_) request->keys = keys_of_(request->region);
  Enter();
  if (Status s = OnPosted(*request); !s) {
    Break(std::move(s).error());
    return Failure();
  }
  Drive(/*receive=*/false);
  return request;
}

Result<Progress> Stream::Test(Request& request, uint64_t& size) {
  if (waiting_.load(std::memory_order_relaxed) != 0) {
    std::this_thread::yield();
    return Progress::kAgain;
  }
  std::lock_guard lock(mutex_);
  if (request.state == Request::State::kPosted) {
    Enter();
    Drive(/*receive=*/true);
  }
  if (request.state == Request::State::kDone) {
    size = request.size;
    request.state = Request::State::kFree;
    return Progress::kDone;
  }
  if (failure_) return Failure();
  return Progress::kAgain;
}

// Receives (when asked to), queues what may go and hands it to the kernel, until nothing moves.
Status Stream::DriveCircuit(bool receive) {
  if (Status s = end_->DriveLane(); !s) {
    end_->set_lane_broken();
    return s;
  }
  if (receive && SocketIsDue()) {
    auto received = circuit_->Receive(*this);
    if (!received) return tl::unexpected(std::move(received).error());
  }
  for (bool started = true; started;) {
    started = end_->Push(*circuit_);
    if (ping_due_) ping_due_ = !circuit_->QueueControl({.type = FrameType::kPing});
    if (pong_due_) pong_due_ = !circuit_->QueueControl({.type = FrameType::kPing, .extra = 1});
    if (closing_.due() && !requests_.outstanding()) (void)QueueClose(CloseReason::kDone);
    auto flushed = circuit_->Flush();
    if (!flushed) return tl::unexpected(std::move(flushed).error());
    if (*flushed == Progress::kAgain) break;
  }
  return {};
}

void Stream::Drive(bool receive) {
  if (!circuit_) return;
  if (Status s = DriveCircuit(receive); !s) return End(std::move(s).error());
  if (closing_.settled() && !circuit_->wants_write()) Drop();
}

// Of the circuit or its lane. Where both sides are done, nothing was lost with it.
void Stream::End(Error error) {
  if (closing_.SaidAll(recovers_ && OwesAnswer()) && !requests_.outstanding()) return Drop();
  error.what += AdviceFor(error.sys_errno);
  if (!MayRecoverFrom(error)) return Break(std::move(error));
  Lose(std::move(error));
}

// A device that moves the messages is looked at each time; a system call for the socket beside it each time would cost
// more than all the rest.
bool Stream::SocketIsDue() {
  constexpr uint32_t kSkipped = 256;
  if (!end_->NeedsSocket() && !attending_ && ++socket_skipped_ < kSkipped) return false;
  socket_skipped_ = 0;
  return true;
}

// Whatever touches the caller's memory on behalf of the circuit ends first.
void Stream::Drop() {
  Status fenced;
  if (end_) fenced = end_->Fence();
  if (const std::string carried = end_ && end_->lane() != nullptr ? end_->lane()->Summary() : ""; !carried.empty()) {
    RELAY_INFO("%s: %s", Peer().c_str(), carried.c_str());
  }
  end_.reset();
  circuit_.reset();
  outage_.On(Outage::Dropped{});
  // Nothing may be placed where a device may still write.
  if (!fenced) Break(std::move(fenced).error());
}

bool Stream::QueueClose(CloseReason reason) {
  const bool queued = circuit_->QueueControl(
      {.type = FrameType::kClose, .message = requests_.finished(), .extra = static_cast<uint64_t>(reason)});
  if (queued) closing_.On(Closing::Event::kSent);
  return queued;
}

// How the hop ended tells the cable at this end from a process anywhere on the way.
std::string Stream::AdviceFor(int err) const {
  switch (err) {
    case ETIMEDOUT:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENODEV:
      return ": check the cable of link " + place_.near_link + " and the node at its other end";
    case ENOTCONN:
    case ECONNRESET:
    case EPIPE:
      return ": the peer or an agent on the way has ended, see the logs of these nodes";
    default:  // not the hop's
      return {};
  }
}

// "connection with C over A ab--ba B bc--cb C"
std::string Stream::Peer() const { return "connection with " + options_.peer + " over " + place_.over; }

// The connection cannot go on. The circuit goes with it, so nothing touches the caller's memory any more.
void Stream::Break(Error error) {
  if (failure_) return;
  Add(counters_.requests_cancelled, requests_.posted() - requests_.finished());
  error.what = Peer() + ": " + error.what;
  if (!closing_.closed()) RELAY_INFO("%s", error.what.c_str());
  failure_ = std::move(error);
  requests_.CancelAll();
  Drop();
  if (service_ != nullptr) service_->TakeOver(*this);
}

// Breaks from this side, and tells the peer if a frame can still be sent whole.
void Stream::Abort(Error error) {
  if (circuit_ && !circuit_->data_pending() && QueueClose(CloseReason::kAborted)) {
    auto flushed = circuit_->Flush();  // best effort: the peer learns it from the end of the hop, too
    if (flushed) circuit_->ShutdownSend();
  }
  Break(std::move(error));
}

void Stream::CancelRegion(const void* region) {
  const Turn turn(*this);
  for (uint64_t m = requests_.finished(); m != requests_.posted(); ++m) {
    if (requests_.Of(m).region != region) continue;
    return Abort({ErrorCode::kInternal, 0,
                  "its memory was deregistered with requests in flight: see NCCL's log for what it aborted"});
  }
}

void Stream::Close() {
  const Turn turn(*this);
  if (requests_.outstanding())
    Abort({ErrorCode::kInternal, 0, "closed with requests in flight: see NCCL's log for what it aborted"});
  closing_.On(Closing::Event::kCallerCloses);
  requests_.Reset(*this);
  Drive(/*receive=*/true);
  if (service_ != nullptr) service_->TakeOver(*this);
}

Status Stream::OnFrame(const FrameHeader& header) {
  frame_ = header;
  end_->Heard();
  switch (header.type) {
    case FrameType::kClose:
      return OnClose(header);
    case FrameType::kPing:
      pong_due_ = pong_due_ || header.extra == 0;
      answers_ += header.extra;
      return {};
    case FrameType::kResume:
      return OnResume(header);
    default:
      return end_->OnFrame(header, circuit_->data_pending());
  }
}

Status Stream::OnFrameEnd() { return frame_.type == FrameType::kData ? end_->OnFrameEnd(frame_) : Status{}; }

// The peer is done with so many messages. News of the last of them may still be on its way through a device.
Status Stream::OnClose(const FrameHeader& header) {
  if (static_cast<CloseReason>(header.extra) == CloseReason::kAborted) {
    return Fail(ErrorCode::kRemote, "the peer aborted it: see its log");
  }
  const bool by_device = end_->lane() != nullptr;
  if (requests_.outstanding() && (requests_.posted() > header.message || !by_device)) {
    return Fail(ErrorCode::kRemote, "the peer closed it with " +
                                        std::to_string(requests_.posted() - requests_.finished()) +
                                        " requests unfinished: see its log");
  }
  closing_.On(Closing::Event::kPeerCloses);
  return {};
}

uint64_t Stream::Moved() const {
  if (!circuit_) return 0;
  return circuit_->moved_bytes() + (end_->lane() != nullptr ? end_->lane()->moved() : 0);
}

// What a device reports from now on wakes whoever waits for its descriptor; what it has reported so far does not.
void Stream::PrepareSleep() {
  transport::Lane* lane = end_->lane();
  if (lane == nullptr) return;
  lane->TakeEvents();
  if (Status s = lane->Arm(); !s) {
    end_->set_lane_broken();
    return End(std::move(s).error());
  }
  Drive(/*receive=*/true);
}

Stream::Attention Stream::Attend(TimePoint now, bool housekeeping, const std::function<void(const Attention&)>& watch) {
  const Turn turn(*this);
  attending_ = true;
  Drive(/*receive=*/true);
  if (circuit_) PrepareSleep();
  if (housekeeping && !failure_) Judge(now);
  closing_.On(circuit_ || !outage_.explained() ? Closing::Event::kReached : Closing::Event::kUnreached, now);
  if (closing_.abandoned()) Drop();
  attending_ = false;
  const Attention attention = NeedsNow();
  watch(attention);
  return attention;
}

Stream::Attention Stream::NeedsNow() const {
  const bool lost = !circuit_ && recovers_ && !failure_ && closing_.NeedsPeer(OwesAnswer());
  const bool waiting = Waits();
  return {.finished = closing_.closed() && !circuit_ && !lost,
          .waits = lost || (circuit_ && (closing_.closed() || requests_.outstanding())),
          .soon = outage_.soon() || (lost && waiting),
          .wants_write = circuit_ && circuit_->wants_write(),
          .fd = circuit_ ? circuit_->fd() : -1,
          .lane_fd = circuit_ && end_->lane() != nullptr ? end_->lane()->fd() : -1,
          .need = {.circuit = lost,
                   .doubt = outage_.in_doubt(),
                   .waiting = waiting,
                   .ended = failure_.has_value(),
                   .hung_up = lost && outage_.hung_up()}};
}

}  // namespace relay::stream
