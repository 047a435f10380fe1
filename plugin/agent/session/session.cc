#include "agent/session/session.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "agent/trust/printable.h"
#include "base/codec.h"

namespace relay::agent {
namespace {

constexpr Duration kPingPause = std::chrono::seconds(2);
// More than the largest table and the longest survey that honest neighbours make each other send at once.
constexpr size_t kMostQueued = size_t{64} << 20;
// One turn of the loop reads no more: others wait.
constexpr size_t kBytesPerTurn = size_t{512} << 10;

// `err`: what the last system call on the socket failed with.
Loss HowItBroke(int err) {
  // With bytes of ours unread, the end of the other agent comes as an error.
  if (err == ECONNRESET || err == EPIPE) return {Loss::Cause::kEnded, "its agent has hung up", {}};
  const bool silent = err == ETIMEDOUT || err == EHOSTUNREACH;
  return {silent ? Loss::Cause::kHostSilent : Loss::Cause::kOther,
          FailErrno(ErrorCode::kRemote, "the line broke", err).value().what,
          {}};
}

uint64_t Nanoseconds(TimePoint t) { return static_cast<uint64_t>(t.time_since_epoch().count()); }

}  // namespace

Session::Session(EventLoop& loop, Line line, Hooks hooks)
    : loop_(loop),
      socket_(std::move(line.socket)),
      reader_(std::move(line.reader)),
      writer_(std::move(line.writer)),
      silence_(line.silence),
      hooks_(std::move(hooks)),
      heard_(loop.clock().Now()),
      pinged_(heard_) {}

Session::~Session() {
  if (socket_) loop_.Forget(socket_.get());
  loop_.Cancel(ping_timer_);
  loop_.Cancel(end_timer_);
}

Status Session::Start() {
  RELAY_TRY(loop_.Watch(socket_.get(), EPOLLIN, [this](uint32_t events) { OnEvents(events); }));
  // What came together with the answer waits in the reader, and no event tells of it.
  ping_timer_ = loop_.After(Duration::zero(), [this] {
    ping_timer_ = 0;
    if (TakeMessages()) Ping();
  });
  return {};
}

void Session::Send(SetupType type, std::span<const std::byte> body) {
  if (end_timer_ != 0) return;
  queue_.push_back(writer_.Encode(type, body));
  queued_bytes_ += queue_.back().size();
  if (queued_bytes_ > kMostQueued) {
    return End({Loss::Cause::kOther, "it does not read: " + std::to_string(queued_bytes_ >> 20) + " MiB wait for it"});
  }
  if (waits_for_room_) return;
  // From the loop: many messages of one turn leave together, and a broken socket ends nothing in the caller's hands.
  waits_for_room_ = true;
  loop_.Rearm(socket_.get(), EPOLLIN | EPOLLOUT);
}

void Session::End(const Loss& loss) {
  if (end_timer_ == 0) end_timer_ = loop_.After(Duration::zero(), [this, loss] { Finish(loss); });
}

bool Session::HostAnswers() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  return getsockopt(socket_.get(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_unacked == 0 &&
         info.tcpi_state == TCP_ESTABLISHED && queue_.empty();
}

void Session::OnEvents(uint32_t events) {
  if ((events & ~static_cast<uint32_t>(EPOLLOUT)) != 0 && !Read()) return;
  if ((events & EPOLLOUT) != 0) Flush();
}

bool Session::Read() {
  std::byte room[65536];
  for (size_t total = 0; total < kBytesPerTurn;) {
    const ssize_t n = recv(socket_.get(), room, sizeof room, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
    if (n <= 0) {
      Finish(HowItBroke(n == 0 ? EPIPE : errno));
      return false;
    }
    total += static_cast<size_t>(n);
    heard_ = loop_.clock().Now();
    reader_.Append(std::span(room).first(static_cast<size_t>(n)));
    if (!TakeMessages()) return false;
    if (static_cast<size_t>(n) < sizeof room) return true;
  }
  return true;
}

bool Session::TakeMessages() {
  while (true) {
    auto frame = reader_.Next();
    if (!frame) {
      Finish({Loss::Cause::kOther, "it sent " + frame.error().what}, reader_.forged());
      return false;
    }
    if (!*frame) return true;
    if (!Take(std::move(**frame))) return false;
  }
}

bool Session::Take(Frame frame) {
  if (frame.type == SetupType::kPing) {
    Send(SetupType::kPong, frame.body);
    return true;
  }
  if (frame.type == SetupType::kPong) {
    const std::weak_ptr<const bool> alive = alive_;
    OnPong(frame);
    return !alive.expired();
  }
  if (frame.type == SetupType::kRefused || frame.type == SetupType::kSession) {
    auto refused = frame.type == SetupType::kRefused ? DecodeRefused(frame.body) : Result<RefusedMessage>{};
    const bool says = refused && !refused->sentence.empty();
    Finish(says ? Loss{Loss::Cause::kOther, "it says: " + Printable(refused->sentence)}
                : Loss{Loss::Cause::kEnded, "it has begun anew"});
    return false;
  }
  const std::weak_ptr<const bool> alive = alive_;
  hooks_.message(std::move(frame));
  return !alive.expired() && end_timer_ == 0;
}

void Session::OnPong(const Frame& frame) {
  if (frame.body.size() != 8) return;
  const uint64_t sent = GetLe<uint64_t>(frame.body.data()), now = Nanoseconds(loop_.clock().Now());
  // An answer to nothing that was asked lately measures nothing.
  if (sent > now || now - sent > static_cast<uint64_t>(silence_.count())) return;
  round_trips_[round_trip_count_++ % round_trips_.size()] = Duration(static_cast<int64_t>(now - sent));
  const auto end = round_trips_.begin() + static_cast<ptrdiff_t>(std::min(round_trip_count_, round_trips_.size()));
  hooks_.round_trip(*std::min_element(round_trips_.begin(), end));
}

bool Session::Flush() {
  while (!queue_.empty()) {
    const auto& front = queue_.front();
    const ssize_t n =
        send(socket_.get(), front.data() + front_sent_, front.size() - front_sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
    if (n < 0) {
      Finish(HowItBroke(errno));
      return false;
    }
    front_sent_ += static_cast<size_t>(n);
    queued_bytes_ -= static_cast<size_t>(n);
    if (front_sent_ < front.size()) continue;
    queue_.pop_front();
    front_sent_ = 0;
  }
  waits_for_room_ = false;
  loop_.Rearm(socket_.get(), EPOLLIN);
  return true;
}

void Session::Ping() {
  const TimePoint now = loop_.clock().Now();
  const Duration pause = std::min<Duration>(kPingPause, silence_ / 4);
  // Whoever was stopped himself has heard nothing meanwhile: that is no silence of the other end's.
  if (now - std::exchange(pinged_, now) > 2 * pause) heard_ = now;
  if (now - heard_ > silence_) {
    return Finish({HostAnswers() ? Loss::Cause::kAgentSilent : Loss::Cause::kHostSilent,
                   "nothing came for " + SecondsText(silence_), silence_});
  }
  std::byte body[8];
  PutLe<uint64_t>(body, Nanoseconds(now));
  Send(SetupType::kPing, body);
  ping_timer_ = loop_.After(pause, [this] { Ping(); });
}

void Session::Finish(const Loss& loss, bool forged) {
  auto ended = std::move(hooks_.ended);
  ended(loss, forged);
}

}  // namespace relay::agent
