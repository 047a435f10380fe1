#include "stream/stream.h"

#include <cerrno>
#include <thread>
#include <utility>

#include "base/log.h"
#include "stream/service.h"

namespace relay::stream {

Stream::Stream(std::unique_ptr<circuit::Circuit> circuit, StreamOptions options, Counters& counters)
    : circuit_(std::move(circuit)), options_(std::move(options)), counters_(counters) {
  for (Request& request : requests_) request.stream = this;
}

Status Stream::CheckOpen() {
  if (failure_) return Failure();
  if (!close_received_) return {};
  Error error{ErrorCode::kRemote, 0, "connection with " + options_.peer + ": the peer has closed it"};
  error.told = std::exchange(close_told_, true);
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
  Request& request = RequestOf(posted_);
  if (request.state != Request::State::kFree) return nullptr;
  Enter();
  request.state = Request::State::kPosted;
  request.in_order = in_order;
  request.data = buffer.data;
  request.size = buffer.size;
  request.region = buffer.region;
  request.keys = buffer.keys;
  request.message = posted_++;
  if (Status s = OnPosted(request); !s) {
    Break(std::move(s).error());
    return Failure();
  }
  Drive(/*receive=*/false);
  return &request;
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

void Stream::Finish(Request& request, uint64_t size) {
  request.size = size;
  request.state = Request::State::kDone;
  request.data = nullptr;
  ++finished_requests_;
}

// Receives (when asked to), queues what may go and hands it to the kernel, until nothing moves.
Status Stream::DriveCircuit(bool receive) {
  RELAY_TRY(DriveLane());
  if (receive && SocketIsDue()) {
    auto received = circuit_->Receive(*this);
    if (!received) return tl::unexpected(std::move(received).error());
  }
  for (bool started = true; started;) {
    started = Push();
    if (ping_due_) ping_due_ = !circuit_->QueueControl({.type = FrameType::kPing});
    if (pong_due_) pong_due_ = !circuit_->QueueControl({.type = FrameType::kPing, .extra = 1});
    if (close_due_ && !HasPosted()) close_due_ = !QueueClose(close_reason_);
    auto flushed = circuit_->Flush();
    if (!flushed) return tl::unexpected(std::move(flushed).error());
    if (*flushed == Progress::kAgain) break;
  }
  return {};
}

void Stream::Drive(bool receive) {
  if (!circuit_) return;
  if (Status s = DriveCircuit(receive); !s) return End(std::move(s).error());
  if (close_sent_ && close_received_ && !circuit_->wants_write()) Drop();
}

// Of the circuit or its lane. Where both sides are done, nothing was lost with it.
void Stream::End(Error error) {
  const bool orderly = (close_received_ || (closed_ && close_sent_)) && !HasPosted();
  if (orderly) return Drop();
  error.what += AdviceFor(error.sys_errno);
  Break(std::move(error));
}

// A device that moves the messages is looked at each time; a system call for the socket beside it each time would cost
// more than all the rest.
bool Stream::SocketIsDue() {
  constexpr uint32_t kSkipped = 256;
  if (!NeedsSocket() && !attending_ && ++socket_skipped_ < kSkipped) return false;
  socket_skipped_ = 0;
  return true;
}

void Stream::Drop() {
  DropLane();
  circuit_.reset();
}

bool Stream::QueueClose(CloseReason reason) {
  close_sent_ = circuit_->QueueControl(
      {.type = FrameType::kClose, .message = finished_requests_, .extra = static_cast<uint64_t>(reason)});
  return close_sent_;
}

// How the hop ended tells the cable at this end from a process anywhere on the way.
std::string Stream::AdviceFor(int err) const {
  switch (err) {
    case ETIMEDOUT:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENODEV:
      return ": check the cable of link " + options_.near_link + " and the node at its other end";
    case ENOTCONN:
    case ECONNRESET:
    case EPIPE:
      return ": the peer or an agent on the way has ended, see the logs of these nodes";
    default:  // not the hop's
      return {};
  }
}

// The connection cannot go on. The circuit goes with it, so nothing touches the caller's memory any more.
void Stream::Break(Error error) {
  Add(counters_.requests_cancelled, posted_ - finished_requests_);
  error.what = "connection with " + options_.peer + ": " + error.what;
  if (!closed_) RELAY_INFO("%s", error.what.c_str());
  failure_ = std::move(error);
  finished_requests_ = posted_;
  Drop();
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
  for (uint64_t m = finished_requests_; m != posted_; ++m) {
    if (RequestOf(m).region != region) continue;
    return Abort({ErrorCode::kInternal, 0,
                  "its memory was deregistered with requests in flight: see NCCL's log for what it aborted"});
  }
}

void Stream::Close() {
  const Turn turn(*this);
  if (HasPosted())
    Abort({ErrorCode::kInternal, 0, "closed with requests in flight: see NCCL's log for what it aborted"});
  closed_ = true;
  close_due_ = !close_sent_;
  for (Request& request : requests_) request = {.stream = this};
  Drive(/*receive=*/true);
  if (service_ != nullptr) service_->TakeOver(*this);
}

Status Stream::OnFrame(const FrameHeader& header) {
  frame_ = header;
  heard_ = true;
  switch (header.type) {
    case FrameType::kClose:
      return OnClose(header);
    case FrameType::kPing:
      pong_due_ = pong_due_ || header.extra == 0;
      return {};
    default:
      return OnCircuitFrame(header);
  }
}

void Stream::OnPayload(size_t bytes) { OnSpaceFilled(bytes); }

Status Stream::OnFrameEnd() {
  if (frame_.type == FrameType::kClose || frame_.type == FrameType::kPing) return {};
  return OnCircuitFrameEnd(frame_);
}

// The peer is done with so many messages. News of the last of them may still be on its way through a device.
Status Stream::OnClose(const FrameHeader& header) {
  if (static_cast<CloseReason>(header.extra) == CloseReason::kAborted) {
    return Fail(ErrorCode::kRemote, "the peer aborted it: see its log");
  }
  if (HasPosted() && (posted_ > header.message || lane() == nullptr)) {
    return Fail(ErrorCode::kRemote, "the peer closed it with " + std::to_string(posted_ - finished_requests_) +
                                        " requests unfinished: see its log");
  }
  close_received_ = true;
  close_due_ = !close_sent_;  // nothing can come any more: the peer need not wait for the caller
  return {};
}

uint64_t Stream::Moved() { return circuit_->moved_bytes() + (lane() != nullptr ? lane()->moved() : 0); }

// What a device reports from now on wakes whoever waits for its descriptor; what it has reported so far does not.
void Stream::PrepareSleep() {
  if (lane() == nullptr) return;
  lane()->TakeEvents();
  if (Status s = lane()->Arm(); !s) return End(std::move(s).error());
  Drive(/*receive=*/true);
}

void Stream::JudgeSilence(TimePoint now) {
  bool waiting = HasPosted();
  if (!was_waiting_ || Moved() != moved_seen_) last_sign_ = last_ping_ = now;
  was_waiting_ = waiting;
  moved_seen_ = Moved();
  if (!waiting) return;
  if (now - last_sign_ > options_.recover_timeout) {
    return Break({ErrorCode::kRemote, 0,
                  "no sign of life for " + SecondsText(options_.recover_timeout) +
                      " (NCCL_RELAY_RECOVER_TIMEOUT): a node or cable on " + circuit_->path() + " is stopped or cut"});
  }
  if (now - last_ping_ > options_.recover_timeout / 4) {
    last_ping_ = now;
    ping_due_ = true;
    Drive(/*receive=*/true);
  }
}

Stream::Attention Stream::Attend(TimePoint now, bool housekeeping, const std::function<void(const Attention&)>& watch) {
  const Turn turn(*this);
  attending_ = true;
  Drive(/*receive=*/true);
  if (circuit_) PrepareSleep();
  if (housekeeping && circuit_) JudgeSilence(now);
  if (closed_ && closed_at_ == TimePoint{}) closed_at_ = now;
  if (closed_ && now - closed_at_ > options_.linger) Drop();
  attending_ = false;
  Attention a;
  a.finished = closed_ && !circuit_;
  a.waits = circuit_ && (closed_ || HasPosted());
  a.wants_write = circuit_ && circuit_->wants_write();
  a.fd = circuit_ ? circuit_->fd() : -1;
  a.lane_fd = lane() != nullptr ? lane()->fd() : -1;
  watch(a);
  return a;
}

}  // namespace relay::stream
