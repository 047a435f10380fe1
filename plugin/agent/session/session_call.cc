#include "agent/session/session_call.h"

#include <sys/socket.h>

namespace relay::agent {
namespace {

constexpr Duration kConnectPatience = std::chrono::seconds(3);

}  // namespace

SessionCall::SessionCall(EventLoop& loop, const Facts& facts, Done done)
    : loop_(loop),
      done_(std::move(done)),
      handshake_(facts.key,
                 {{facts.message.node, facts.message.name},
                  facts.peer,
                  EncodeSetup(SetupType::kSession, EncodeBody(facts.message))},
                 RandomNonce()),
      writer_(handshake_.Begin()) {
  timer_ = loop_.After(Duration::zero(), [this, target = facts.target, hop = facts.hop] { Dial(target, hop); });
}

SessionCall::~SessionCall() {
  if (socket_) loop_.Forget(socket_.get());
  loop_.Cancel(timer_);
}

void SessionCall::Dial(const transport::tcp::DialTarget& target, const transport::tcp::HopOptions& hop) {
  auto fd = transport::tcp::StartDial(target, hop);
  if (!fd) return Fail(fd.error().what);
  socket_ = std::move(*fd);
  auto watched = loop_.Watch(socket_.get(), EPOLLOUT, [this](uint32_t) { OnConnecting(); });
  if (!watched) return Fail(watched.error().what);
  timer_ = loop_.After(kConnectPatience, [this] { Fail("no answer"); });
}

void SessionCall::OnConnecting() {
  if (auto connected = transport::tcp::FinishDial(socket_.get()); !connected) return Fail(connected.error().what);
  loop_.Forget(socket_.get());
  auto watched = loop_.Watch(socket_.get(), EPOLLIN | EPOLLOUT, [this](uint32_t events) { OnConnected(events); });
  if (!watched) return Fail(watched.error().what);
  loop_.Cancel(timer_);
  timer_ = loop_.After(kGreetingPatience, [this] {
    Fail("its agent took the call, but did not answer in " + SecondsText(kGreetingPatience));
  });
}

void SessionCall::OnConnected(uint32_t events) {
  // A broken line may still hold the neighbour's refusal: reading finds out.
  if ((events & EPOLLOUT) != 0) Write();
  if ((events & ~static_cast<uint32_t>(EPOLLOUT)) == 0) return;
  if (handshake_.done()) return ReadAnswer();
  ReadGreeting();
}

void SessionCall::Write() {
  auto progress = writer_.Write(socket_.get());
  const bool waits = progress && *progress == Progress::kAgain;
  loop_.Rearm(socket_.get(), waits ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void SessionCall::ReadGreeting() {
  auto progress = greeting_.Read(socket_.get());
  if (!progress) return Fail(progress.error().what);
  if (*progress == Progress::kAgain) return;
  HandshakeStep step = handshake_.Receive(greeting_.type(), greeting_.body());
  greeting_ = {};
  if (step.refused) {
    if (!step.send.empty()) SayLastWords(socket_.get(), step.send);
    return Fail(step.refused->message.sentence, step.refused->reason == HandshakeRefusal::Reason::kOtherKey);
  }
  writer_ = SetupWriter(std::move(step.send));
  Write();
}

void SessionCall::ReadAnswer() {
  if (!answer_) answer_.emplace(handshake_.secret(), Side::kAcceptor);
  std::byte room[4096];
  const ssize_t n = recv(socket_.get(), room, sizeof room, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
  if (n <= 0) return Fail("it hung up");
  answer_->Append(std::span(room).first(static_cast<size_t>(n)));
  auto frame = answer_->Next();
  if (!frame) return Fail("it answered SESSION with " + frame.error().what, answer_->forged());
  if (!*frame) return;
  if ((*frame)->type == SetupType::kRefused) {
    auto refused = DecodeRefused((*frame)->body);
    return Fail(refused ? "it refuses: " + refused->sentence : refused.error().what);
  }
  if ((*frame)->type != SetupType::kSession) return Fail("it answered SESSION with something else");
  auto message = DecodeSession((*frame)->body);
  if (!message) return Fail(message.error().what);
  loop_.Forget(socket_.get());
  Finish(Answered{std::move(socket_), std::move(*answer_), FrameWriter(handshake_.secret(), Side::kDialler),
                  std::move(*message)});
}

void SessionCall::Fail(const std::string& why, bool other_key) { Finish(tl::unexpected(Failure{why, other_key})); }

void SessionCall::Finish(Outcome outcome) {
  if (socket_) loop_.Forget(socket_.get());
  loop_.Cancel(timer_);
  timer_ = 0;
  Done done = std::move(done_);
  done(std::move(outcome));
}

}  // namespace relay::agent
