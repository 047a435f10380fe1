#include "agent/setup/hop_dialer.h"

#include <algorithm>

#include "agent/node/refusal.h"
#include "agent/setup/silent_drop.h"

namespace relay::agent {
namespace {

constexpr Duration kDialPatience = std::chrono::seconds(3);  // on a wire without a third node, one lost SYN included

}  // namespace

HopDialer::HopDialer(EventLoop& loop, const LocalNode& node, OpenMessage open, Done done, DialTrust trust)
    : loop_(loop),
      node_(node),
      open_(std::move(open)),
      done_(std::move(done)),
      deadline_(loop.clock().Now() + node.connect_timeout),
      trust_(std::move(trust)) {
  if (auto link = fabric::FindLink(node_.fabric, open_.route[open_.hop])) {
    if (auto ends = EndsFrom(node_, *link)) {
      targets_ = TargetsOf(node_, *ends);
      hop_ = HopOver(node_, *ends);
    }
  }
  SetTimer(Duration::zero(), [this] { DialNext(); });
}

HopDialer::~HopDialer() {
  HangUp();
  loop_.Cancel(timer_);
}

void HopDialer::SetTimer(Duration delay, std::function<void()> callback) {
  loop_.Cancel(timer_);
  timer_ = loop_.After(delay, std::move(callback));
}

void HopDialer::HangUp() {
  if (socket_) loop_.Forget(socket_.get());
  socket_.reset();
}

void HopDialer::DialNext() {
  while (next_target_ < targets_.size()) {
    const auto& target = targets_[next_target_];
    auto fd = transport::tcp::StartDial(target, hop_);
    if (fd) {
      socket_ = std::move(*fd);
      auto watched = loop_.Watch(socket_.get(), EPOLLOUT, [this](uint32_t) { OnConnecting(); });
      if (watched) {
        SetTimer(std::min(kDialPatience, deadline_ - loop_.clock().Now()),
                 [this] { AttemptFailed("no answer", ETIMEDOUT); });
        return;
      }
      HangUp();
      fd = tl::unexpected<Error>(watched.error());
    }
    failures_ += (failures_.empty() ? "" : "; ") + fd.error().what;
    last_errno_ = fd.error().sys_errno;
    ++next_target_;
  }
  if (targets_.empty()) failures_ = "its two ports have no addresses of one kind";
  Finish(tl::unexpected(RefuseUnanswered(node_, {open_, failures_, last_errno_, CauseOfSilence()})));
}

std::string HopDialer::CauseOfSilence() const {
  const auto link = fabric::FindLink(node_.fabric, open_.route[open_.hop]);
  const auto ends = link ? EndsFrom(node_, *link) : std::nullopt;
  if (!ends || last_errno_ != ETIMEDOUT) return "";
  const std::string cause = SourceAlsoThere(node_.fabric, *ends);
  return cause.empty() ? FilteredHere(node_, *ends) : cause;
}

void HopDialer::AttemptFailed(const std::string& reason, int err) {
  failures_ += (failures_.empty() ? "" : "; ") + TargetText(targets_[next_target_]) + ": " + reason;
  last_errno_ = err;
  HangUp();
  ++next_target_;
  DialNext();
}

void HopDialer::OnConnecting() {
  auto connected = transport::tcp::FinishDial(socket_.get());
  if (!connected) {
    const std::string& what = connected.error().what;
    return AttemptFailed(what.substr(what.find(": ") + 2), connected.error().sys_errno);
  }
  int fd = socket_.get();
  loop_.Forget(fd);
  auto watched = loop_.Watch(fd, EPOLLIN | EPOLLOUT, [this](uint32_t events) { OnConnected(events); });
  if (!watched) return AttemptFailed(watched.error().what, watched.error().sys_errno);
  Greet();
}

void HopDialer::Greet() {
  const RouteHop& hop = open_.route[open_.hop];
  handshake_.emplace(
      trust_.key,
      DialerHandshake::Call{{node_.node().id, node_.name()}, {hop.to, node_.NameOf(hop.to)}, EncodeOpen(open_)},
      RandomNonce());
  writer_ = SetupWriter(handshake_->Begin());
  sent_ = false;
  reader_ = {};
  if (handshake_->done()) return AwaitOpened();
  SetTimer(std::clamp<Duration>(deadline_ - loop_.clock().Now(), Duration::zero(), kGreetingPatience), [this] {
    Finish(tl::unexpected(Refuse(node_, RefusedCode::kTimeout, Again::kMayHelp,
                                 node_.NameOf(open_.route[open_.hop].to) +
                                     " took the call, but did not prove in time that it holds the fabric's key")));
  });
}

void HopDialer::AwaitOpened() {
  SetTimer(std::max(deadline_ - loop_.clock().Now(), Duration::zero()), [this] {
    Finish(tl::unexpected(Refuse(node_, RefusedCode::kTimeout, Again::kMayHelp,
                                 node_.NameOf(open_.route[open_.hop].to) + " took the circuit to " +
                                     node_.NameOf(open_.route.back().to) + " on, but it was not open in time")));
  });
}

void HopDialer::OnConnected(uint32_t events) {
  // A broken hop may still hold the neighbour's refusal: reading finds out.
  Write();
  if ((events & ~static_cast<uint32_t>(EPOLLOUT)) == 0) return;
  if (handshake_->done() || ReadGreeting()) ReadAnswer();
}

void HopDialer::Write() {
  if (sent_) return;
  auto progress = writer_.Write(socket_.get());
  if (!progress || *progress != Progress::kDone) return;
  sent_ = true;
  loop_.Rearm(socket_.get(), EPOLLIN);
}

bool HopDialer::ReadGreeting() {
  auto progress = reader_.Read(socket_.get());
  if (!progress) BrokenOff(progress.error());
  return progress && *progress == Progress::kDone && TakeGreeting();
}

bool HopDialer::TakeGreeting() {
  HandshakeStep step = handshake_->Receive(reader_.type(), reader_.body());
  reader_ = {};
  if (step.refused) {
    const bool other_key = step.refused->reason == HandshakeRefusal::Reason::kOtherKey;
    if (other_key && trust_.counters != nullptr) Add(trust_.counters->handshakes_refused_key);
    if (!step.send.empty()) SayLastWords(socket_.get(), step.send);
    Finish(tl::unexpected(std::move(step.refused->message)));
    return false;
  }
  writer_ = SetupWriter(std::move(step.send));
  sent_ = false;
  loop_.Rearm(socket_.get(), EPOLLIN | EPOLLOUT);
  Write();
  AwaitOpened();
  return true;
}

void HopDialer::BrokenOff(const Error& error) {
  const std::string next = node_.NameOf(open_.route[open_.hop].to);
  const bool version = error.code == ErrorCode::kUsage;
  const auto code = version ? RefusedCode::kVersion : RefusedCode::kLinkDown;
  Finish(tl::unexpected(Refuse(node_, code, version ? Again::kCannotHelp : Again::kMayHelp,
                               "link " + node_.name() + "-" + next + ", while a circuit to " +
                                   node_.NameOf(open_.route.back().to) + " was set up: " + error.what)));
}

void HopDialer::ReadAnswer() {
  const std::string next = node_.NameOf(open_.route[open_.hop].to);
  auto progress = reader_.Read(socket_.get());
  if (!progress) return BrokenOff(progress.error());
  if (*progress == Progress::kAgain) return;
  if (reader_.type() == SetupType::kRefused) {
    if (auto refused = DecodeRefused(reader_.body())) return Finish(tl::unexpected(std::move(*refused)));
  }
  if (reader_.type() == SetupType::kOpened) {
    if (auto opened = DecodeOpened(reader_.body()); opened && opened->name == open_.name) {
      loop_.Forget(socket_.get());
      return Finish(Opened{std::move(socket_), std::move(*opened)});
    }
  }
  Finish(
      tl::unexpected(Refuse(node_, RefusedCode::kProtocol, Again::kCannotHelp,
                            next + " answers OPEN with something that is neither OPENED of this circuit nor REFUSED")));
}

void HopDialer::Finish(Outcome outcome) {
  HangUp();
  loop_.Cancel(timer_);
  timer_ = 0;
  Done done = std::move(done_);
  done(std::move(outcome));
}

}  // namespace relay::agent
