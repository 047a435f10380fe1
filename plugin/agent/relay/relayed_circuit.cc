#include "agent/relay/relayed_circuit.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace relay::agent {
namespace {

// One turn has no more steps: then the other circuits of this agent have theirs.
constexpr int kStepsPerTurn = 32;
// What a dead side had sent has left by then, and the living side has read it.
constexpr Duration kFarewell = std::chrono::seconds(5);
constexpr Duration kPipeRetry = std::chrono::milliseconds(10);
constexpr size_t kCopyBytes = 256 * 1024;
// Edge-triggered, both ways, once: no epoll_ctl while bytes flow freely.
constexpr uint32_t kArrivals = EPOLLIN | EPOLLRDHUP;
constexpr uint32_t kEvents = kArrivals | EPOLLOUT | EPOLLET;

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK; }

template <class Call>
ssize_t Uninterrupted(Call call) {
  ssize_t n;
  do {
    n = call();
  } while (n < 0 && errno == EINTR);
  return n;
}

}  // namespace

RelayedCircuit::RelayedCircuit(Tools tools, Facts facts, Sides sides, Budget::Lease lease, std::function<void()> done)
    : tools_(tools),
      facts_(std::move(facts)),
      sides_(std::move(sides)),
      lease_(std::move(lease)),
      done_(std::move(done)) {
  flows_[0].from = flows_[1].to = sides_.near.get();
  flows_[0].to = flows_[1].from = sides_.far.get();
}

RelayedCircuit::~RelayedCircuit() {
  tools_.loop.Forget(sides_.near.get());
  tools_.loop.Forget(sides_.far.get());
  tools_.loop.Cancel(again_);
  tools_.loop.Cancel(deadline_);
}

Status RelayedCircuit::Start(Means means) {
  means_ = means;
  RELAY_TRY(tools_.loop.Watch(sides_.near.get(), kEvents, [this](uint32_t events) { OnEvents(0, events); }));
  RELAY_TRY(tools_.loop.Watch(sides_.far.get(), kEvents, [this](uint32_t events) { OnEvents(1, events); }));
  PumpLater(Duration::zero());
  return {};
}

void RelayedCircuit::OnEvents(size_t side, uint32_t events) {
  constexpr uint32_t kEnd = EPOLLHUP | EPOLLERR;
  Flow &out = flows_[side], &in = flows_[1 - side];
  if (events & (kArrivals | kEnd)) {
    out.readable = true;
    if (out.held > 0 && !out.writable) Mute(out, true);
  }
  if (events & (EPOLLOUT | kEnd)) {
    in.writable = true;
    Mute(in, false);
  }
  Pump();
}

// Only once an arrival has woken the loop for nothing: most waits for room are shorter than that.
void RelayedCircuit::Mute(Flow& flow, bool muted) {
  if (flow.muted == muted) return;
  flow.muted = muted;
  flow.readable = true;
  tools_.loop.Rearm(flow.from, muted ? kEvents & ~kArrivals : kEvents);
}

void RelayedCircuit::PumpLater(Duration delay) {
  if (again_ != 0) return;
  again_ = tools_.loop.After(delay, [this] {
    again_ = 0;
    Pump();
  });
}

void RelayedCircuit::Pump() {
  for (Flow& flow : flows_) {
    if (PumpFlow(flow)) PumpLater(Duration::zero());
  }
  if (!flows_[0].finished() || !flows_[1].finished()) return;
  auto done = std::move(done_);
  done();
}

bool RelayedCircuit::PumpFlow(Flow& flow) {
  for (int i = 0; i < kStepsPerTurn; ++i) {
    Step step = flow.broken ? Discard(flow) : flow.held > 0 ? Drain(flow) : Fill(flow);
    if (step == Step::kBlocked) return false;
  }
  return true;
}

// Always into an empty pipe: then "would block" can only mean that the socket is empty.
RelayedCircuit::Step RelayedCircuit::Fill(Flow& flow) {
  if (flow.ended()) {
    if (flow.end == Flow::End::kCame) shutdown(flow.to, SHUT_WR);
    flow.end = Flow::End::kPassedOn;
    return Step::kBlocked;
  }
  if (!flow.readable) return Step::kBlocked;
  if (means_ == Means::kSplice && !flow.pipe.read) {
    auto pipe = tools_.pipes.Lease();
    if (!pipe) {
      PumpLater(kPipeRetry);
      return Step::kBlocked;
    }
    flow.pipe = std::move(*pipe);
  }
  ssize_t n = FillOnce(flow);
  if (n > 0) {
    flow.held = static_cast<size_t>(n);
    return Step::kMoved;
  }
  if (n < 0 && means_ == Means::kSplice && (errno == EINVAL || errno == ENOSYS)) {
    means_ = Means::kCopy;
    return Step::kMoved;
  }
  const int err = errno;
  if (flow.pipe.read) tools_.pipes.Return(std::exchange(flow.pipe, {}));
  errno = err;
  if (n < 0 && WouldBlock()) {
    flow.readable = false;
    return Step::kBlocked;
  }
  flow.end = Flow::End::kCame;
  if (n < 0) Failed(flow.from);
  return Step::kMoved;
}

ssize_t RelayedCircuit::FillOnce(Flow& flow) {
  if (means_ == Means::kCopy) {
    flow.buffer.resize(kCopyBytes);
    ssize_t n = Uninterrupted([&] { return recv(flow.from, flow.buffer.data(), flow.buffer.size(), MSG_DONTWAIT); });
    if (n > 0) flow.buffer.resize(static_cast<size_t>(n));
    return n;
  }
  Add(tools_.counters.splice_calls);
  return Uninterrupted([&] {
    return splice(flow.from, nullptr, flow.pipe.write.get(), nullptr, flow.pipe.capacity,
                  SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  });
}

RelayedCircuit::Step RelayedCircuit::Drain(Flow& flow) {
  if (!flow.writable) return Step::kBlocked;
  ssize_t n = DrainOnce(flow);
  if (n > 0) {
    flow.held -= static_cast<size_t>(n);
    flow.bytes += static_cast<uint64_t>(n);
    Add(tools_.counters.relayed_bytes, static_cast<uint64_t>(n));
    return Step::kMoved;
  }
  if (n < 0 && WouldBlock()) {
    flow.writable = false;
    return Step::kBlocked;
  }
  Failed(flow.to);
  flow.broken = true;
  flow.held = 0;
  flow.pipe = {};
  return Step::kMoved;
}

ssize_t RelayedCircuit::DrainOnce(Flow& flow) {
  if (flow.pipe.read) {
    Add(tools_.counters.splice_calls);
    return Uninterrupted([&] {
      return splice(flow.pipe.read.get(), nullptr, flow.to, nullptr, flow.held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    });
  }
  const std::byte* rest = flow.buffer.data() + (flow.buffer.size() - flow.held);
  ssize_t n = Uninterrupted([&] { return send(flow.to, rest, flow.held, MSG_DONTWAIT | MSG_NOSIGNAL); });
  if (n > 0) Add(tools_.counters.relay_copied_bytes, static_cast<uint64_t>(n));
  return n;
}

// Nobody will read these bytes, but while they lie unread, closing would reset the side that still has to read the
// other direction's last ones.
RelayedCircuit::Step RelayedCircuit::Discard(Flow& flow) {
  if (flow.ended() || !flow.readable) return Step::kBlocked;
  ssize_t n = Uninterrupted([&] { return recv(flow.from, nullptr, kCopyBytes, MSG_DONTWAIT | MSG_TRUNC); });
  if (n > 0) return Step::kMoved;
  if (n < 0 && WouldBlock()) {
    flow.readable = false;
    return Step::kBlocked;
  }
  flow.end = Flow::End::kCame;
  return Step::kBlocked;
}

void RelayedCircuit::Failed(int fd) {
  if (deadline_ != 0) return;
  const std::string& towards = fd == sides_.near.get() ? facts_.from : facts_.to;
  RELAY_INFO("a hop on %s, from here towards %s, broke: %s", facts_.path.c_str(), towards.c_str(), strerror(errno));
  deadline_ = tools_.loop.After(kFarewell, [this] {
    auto done = std::move(done_);
    done();
  });
}

}  // namespace relay::agent
