#include "stream/stream.h"

#include <mutex>
#include <thread>
#include <utility>

#include "base/log.h"

namespace relay::stream {

Stream::Stream(StreamOptions options, Counters& counters)
    : options_(std::move(options)),
      counters_(counters),
      requests_(*this),
      closing_(options_.linger),
      silence_(options_.recover_timeout),
      standstill_(options_.recover_timeout) {}

Status Stream::CheckOpen() {
  if (failure_) return failure_.Give();
  if (!closing_.peer_closed()) return {};
  Error error{ErrorCode::kRemote, 0, Peer() + ": the peer has closed it"};
  error.told = closing_.told();
  closing_.On(Closing::Event::kCallerTold);
  return tl::unexpected<Error>(std::move(error));
}

Result<Request*> Stream::Post(const Buffer& buffer, bool in_order) {
  std::lock_guard lock(mutex_);
  RELAY_TRY(CheckOpen());
  Request* request = requests_.Post(buffer, in_order);
  if (request == nullptr) return nullptr;
  if (keys_of_) request->keys = keys_of_(request->region);
  handover_.Enter();
  if (Status s = OnPosted(*request); !s) {
    Break(std::move(s).error());
    return failure_.Give();
  }
  Drive(Socket::kLeave);
  return request;
}

Result<Progress> Stream::Test(Request& request, uint64_t& size) {
  if (mutex_.wanted()) {
    std::this_thread::yield();
    return Progress::kAgain;
  }
  std::lock_guard lock(mutex_);
  if (request.state == Request::State::kPosted) {
    handover_.Enter();
    Drive(Socket::kIfDue);
  }
  if (request.state == Request::State::kDone) {
    size = request.size;
    request.state = Request::State::kFree;
    return Progress::kDone;
  }
  // NCCL 2.23 to 2.25 test a failed request again without end.
  if (failure_) return failure_.Give();
  return Progress::kAgain;
}

// Receives (when asked to), queues what may go and hands it to the kernel, until nothing moves.
Status Stream::DriveCircuit(Socket socket) {
  if (Status s = present_.carrier().DriveLane(); !s) {
    present_.carrier().set_lane_broken();
    return s;
  }
  if (socket == Socket::kRead || (socket == Socket::kIfDue && present_.carrier().SocketIsDue())) {
    auto received = present_.circuit().Receive(*this);
    RELAY_TRY(received);
  }
  for (bool started = true; started;) {
    started = present_.carrier().Push(present_.circuit());
    pings_.Queue(present_.circuit());
    if (closing_.due() && !requests_.outstanding()) (void)QueueClose(CloseReason::kDone);
    auto flushed = present_.circuit().Flush();
    RELAY_TRY(flushed);
    if (*flushed == Progress::kAgain) break;
  }
  return {};
}

void Stream::Drive(Socket socket) {
  if (!present_) return;
  if (Status s = DriveCircuit(socket); !s) return End(std::move(s).error());
  if (closing_.settled() && !present_.circuit().wants_write()) Drop();
}

// The circuit or its lane has ended. Where both sides are done, nothing was lost with it.
void Stream::End(Error error) {
  if (closing_.SaidAll(recovers_ && OwesAnswer()) && !requests_.outstanding()) return Drop();
  error.what += present_.AdviceFor(error.sys_errno);
  if (!MayRecoverFrom(error)) return Break(std::move(error));
  Lose(std::move(error));
}

// What the peer should not have sent, or what the ranks disagree about, is the same on every path.
bool Stream::MayRecoverFrom(const Error& error) const {
  if (!recovers_ || outage_.exhausted()) return false;
  if (error.code != ErrorCode::kRemote && error.code != ErrorCode::kSystem) return false;
  return present_.broken();
}

void Stream::Lose(Error error) {
  std::string sentence = Peer() + ": " + error.what;
  // While another is being opened beside it, its end may be the peer's answer.
  if (!outage_.replacing()) {
    RELAY_INFO("%s; another circuit is looked for", sentence.c_str());
    Add(counters_.circuits_lost);
  }
  outage_.On(Outage::Lost{.sentence = std::move(sentence), .sys_errno = error.sys_errno});
  Drop();
  handover_.Leave();
}

void Stream::Drop() {
  PresentCircuit::Left left = present_.Drop();
  if (!left.carried.empty()) RELAY_INFO("%s: %s", Peer().c_str(), left.carried.c_str());
  outage_.On(Outage::Dropped{});
  // Nothing may be placed where a device may still write.
  if (!left.fenced) Break(std::move(left.fenced).error());
}

bool Stream::QueueClose(CloseReason reason) {
  const bool queued = present_.circuit().QueueControl(
      {.type = FrameType::kClose, .message = requests_.finished(), .extra = static_cast<uint64_t>(reason)});
  if (queued) closing_.On(Closing::Event::kSent);
  return queued;
}

// "connection with C over A ab--ba B bc--cb C"
std::string Stream::Peer() const { return "connection with " + options_.peer + " over " + present_.path(); }

// The connection cannot go on. The circuit goes with it, so nothing touches the caller's memory any more.
void Stream::Break(Error error) {
  if (failure_) return;
  Add(counters_.requests_cancelled, requests_.posted() - requests_.finished());
  error.what = Peer() + ": " + error.what;
  if (!closing_.closed()) RELAY_INFO("%s", error.what.c_str());
  failure_.Set(std::move(error));
  requests_.CancelAll();
  Drop();
  handover_.Leave();
}

// Breaks from this side, and tells the peer if a frame can still be sent whole.
void Stream::Abort(Error error) {
  if (present_ && !present_.circuit().data_pending() && QueueClose(CloseReason::kAborted)) {
    auto flushed = present_.circuit().Flush();  // best effort: the peer learns it from the end of the hop, too
    if (flushed) present_.circuit().ShutdownSend();
  }
  Break(std::move(error));
}

void Stream::CancelRegion(const void* region) {
  const Turn turn(mutex_);
  for (uint64_t m = requests_.finished(); m != requests_.posted(); ++m) {
    if (requests_.Of(m).region != region) continue;
    return Abort({ErrorCode::kInternal, 0,
                  "its memory was deregistered with requests in flight: see NCCL's log for what it aborted"});
  }
}

void Stream::Close() {
  const Turn turn(mutex_);
  if (requests_.outstanding())
    Abort({ErrorCode::kInternal, 0, "closed with requests in flight: see NCCL's log for what it aborted"});
  closing_.On(Closing::Event::kCallerCloses);
  requests_.Reset(*this);
  Drive(Socket::kIfDue);
  handover_.Leave();
}

Status Stream::OnFrame(const FrameHeader& header) {
  present_.carrier().Heard();
  switch (header.type) {
    case FrameType::kClose:
      return OnClose(header);
    case FrameType::kPing:
      pings_.OnPing(header);
      return {};
    case FrameType::kResume:
      return OnResume(header);
    default:
      return present_.carrier().OnFrame(header, present_.circuit().data_pending());
  }
}

Status Stream::OnFrameEnd(const FrameHeader& header) {
  return header.type == FrameType::kData ? present_.carrier().OnFrameEnd(header) : Status{};
}

// The peer is done with so many messages. News of the last of them may still be on its way through a device.
Status Stream::OnClose(const FrameHeader& header) {
  if (static_cast<CloseReason>(header.extra) == CloseReason::kAborted) {
    return Fail(ErrorCode::kRemote, "the peer aborted it: see its log");
  }
  if (requests_.outstanding() && (requests_.posted() > header.message || !present_.carrier().by_device())) {
    return Fail(ErrorCode::kRemote, "the peer closed it with " +
                                        std::to_string(requests_.posted() - requests_.finished()) +
                                        " requests unfinished: see its log");
  }
  closing_.On(Closing::Event::kPeerCloses);
  return {};
}

void Stream::PrepareSleep() {
  const Result<bool> look_again = present_.carrier().Arm();
  if (!look_again) {
    present_.carrier().set_lane_broken();
    return End(look_again.error());
  }
  if (*look_again) Drive(Socket::kRead);
}

Attention Stream::Attend(TimePoint now, bool housekeeping, const std::function<void(const Attention&)>& watch) {
  const Turn turn(mutex_);
  Drive(Socket::kRead);
  if (present_) PrepareSleep();
  if (housekeeping && !failure_) Judge(now);
  closing_.On(present_ || !outage_.explained() ? Closing::Event::kReached : Closing::Event::kUnreached, now);
  if (closing_.abandoned()) Drop();
  const Attention attention = NeedsNow();
  watch(attention);
  return attention;
}

Attention Stream::NeedsNow() const {
  const bool lost = !present_ && recovers_ && !failure_ && closing_.NeedsPeer(OwesAnswer());
  const bool waiting = Waits();
  return {.finished = closing_.closed() && !present_ && !lost,
          .waits = lost || (present_ && (closing_.closed() || requests_.outstanding())),
          .soon = outage_.soon() || (lost && waiting),
          .wants_write = present_.wants_write(),
          .fd = present_.fd(),
          .lane_fd = present_.lane_fd(),
          .need = {.circuit = lost,
                   .doubt = outage_.in_doubt(),
                   .waiting = waiting,
                   .ended = failed(),
                   .hung_up = lost && outage_.hung_up()}};
}

void Stream::Take(std::unique_ptr<circuit::Circuit> circuit, std::unique_ptr<Carrier> carrier, std::string near_link,
                  const OnTaken& on_taken) {
  present_.Take(std::move(circuit), std::move(carrier), std::move(near_link));
  if (on_taken) on_taken();
  for (uint64_t m = requests_.finished(); keys_of_ && m != requests_.posted(); ++m) {
    requests_.Of(m).keys = keys_of_(requests_.Of(m).region);
  }
  pings_.Reset();
  outage_.On(Outage::Taken{.reached = Reached(), .outstanding = requests_.outstanding()});
  closing_.On(Closing::Event::kCircuit);
  handover_.Leave();
}

void Stream::Replacing(bool replacing) {
  const Turn turn(mutex_);
  outage_.On(Outage::Replacing{replacing});
}

void Stream::Warn(const std::string& sentence) {
  const Turn turn(mutex_);
  outage_.On(Outage::Warned{sentence});
  if (!present_) return;
  RELAY_INFO("%s: %s", Peer().c_str(), sentence.c_str());
  silence_.Warn(present_.epoch());
  handover_.Leave();
}

void Stream::NoteTrouble(std::string sentence) {
  const Turn turn(mutex_);
  outage_.On(Outage::NoOther{std::move(sentence)});
}

void Stream::PeerLives() {
  const Turn turn(mutex_);
  silence_.Alive();
  standstill_.PeerLives();
}

void Stream::PeerGone(const std::string& sentence) {
  const Turn turn(mutex_);
  closing_.On(Closing::Event::kPeerGone);
  if (closing_.closed()) {
    Drop();
  } else {
    Break({ErrorCode::kRemote, 0, sentence});
  }
}

void Stream::GiveUp(Error error) {
  const Turn turn(mutex_);
  if (!present_) Break(std::move(error));
}

// Somebody waits for what only the peer can give.
bool Stream::Waits() const {
  if (failure_) return false;
  return requests_.outstanding() || (closing_.closed() && closing_.NeedsPeer(OwesAnswer()));
}

void Stream::Judge(TimePoint now) {
  const bool waiting = requests_.outstanding();
  Silence::Facts signs{.waiting = waiting, .answers = pings_.answers()};
  Standstill::Facts arrivals{.waiting = waiting, .reached = Reached(), .answers = pings_.answers()};
  if (present_) {
    signs.circuit = arrivals.circuit = present_.epoch();
    signs.moved = present_.moved() - pings_.asked_bytes();
    arrivals.beside = present_.carrier().under_way();
  }
  const Silence::Verdict silence = silence_.Judge(now, signs);
  const Standstill::Verdict standstill = standstill_.Judge(now, arrivals);
  if (standstill.over) {
    Break({ErrorCode::kRemote, 0,
           standstill_.enough() ? standstill_.WhyOver(present_.path())
                                : outage_.WhyOver(present_.path(), options_.recover_timeout)});
  } else if ((silence.ping || standstill.ask) && present_) {
    pings_.Ask();
    Drive(Socket::kRead);
  }
  outage_.On(Outage::Judged{.doubt = silence.doubt, .soon = silence.soon});
}

}  // namespace relay::stream
