#include "agent/clients/client_session.h"

#include <algorithm>

#include "base/log.h"

namespace relay::agent {
namespace {

constexpr size_t kMaxOutbox = 4096;
constexpr int kPacketsPerTurn = 64;

// A client, too, speaks its version and the one before.
bool Understands(uint16_t client, uint16_t spoken) {
  return spoken >= 1 && spoken + 1 >= control::kVersion && spoken + 1 >= client;
}

}  // namespace

ClientSession::ClientSession(EventLoop& loop, Fd fd, pid_t pid, const MakeWelcome& welcome, Budget::Lease lease,
                             Events events)
    : loop_(loop),
      fd_(std::move(fd)),
      pid_(pid),
      welcome_(welcome),
      lease_(std::move(lease)),
      events_(std::move(events)) {}

ClientSession::~ClientSession() { loop_.Forget(fd_.get()); }

Status ClientSession::Start() {
  return loop_.Watch(fd_.get(), EPOLLIN, [this](uint32_t events) { OnEvents(events); });
}

void ClientSession::OnEvents(uint32_t events) {
  if (events & EPOLLOUT) Flush();
  if (events & ~static_cast<uint32_t>(EPOLLOUT)) ReceiveAll();
}

void ClientSession::ReceiveAll() {
  for (int i = 0; i < kPacketsPerTurn && !ending_; ++i) {
    auto received = control::ReceivePacket(fd_.get());
    if (!received) return End();
    if (!*received) return;
    control::Packet& packet = (*received)->packet;
    if (greeted_) {
      events_.packet(std::move(packet));
    } else {
      Greet(packet);
    }
  }
}

void ClientSession::Greet(const control::Packet& packet) {
  auto* hello = std::get_if<control::Hello>(&packet.message);
  if (hello == nullptr) return End();
  uint16_t spoken = std::min(hello->version, control::kVersion);
  control::Welcome welcome = welcome_();
  if (!Understands(hello->version, spoken)) {
    std::string sentence = "the agent of this node is nccl-relay " + welcome.build + ", this process has " +
                           hello->build + ": more than one version apart, install the same on both";
    Send({packet.request, control::Failed{{welcome.node, true, RefusedCode::kVersion, std::move(sentence)}}});
    return End();
  }
  greeted_ = true;
  hello_ = *hello;
  welcome.version = spoken;
  Send({packet.request, std::move(welcome)});
  RELAY_TRACE("process %d is a client (nccl-relay %s)", static_cast<int>(pid_), hello->build.c_str());
}

void ClientSession::Send(const control::Packet& packet, Fd passed) {
  if (ending_) return;
  outbox_.push_back({control::Encode(packet), std::move(passed)});
  const bool idle = outbox_.size() == 1;
  if (outbox_.size() > kMaxOutbox) {
    RELAY_WARN("process %d does not read its control socket: dropped", static_cast<int>(pid_));
    return End();
  }
  if (idle) Flush();
}

void ClientSession::Answer(uint64_t request, std::string_view text) {
  while (text.size() > control::kMaxAnswerText) {
    Send({request, control::Answer{std::string(text.substr(0, control::kMaxAnswerText)), true}});
    text.remove_prefix(control::kMaxAnswerText);
  }
  Send({request, control::Answer{std::string(text), false}});
}

void ClientSession::Flush() {
  while (!outbox_.empty()) {
    auto sent = control::SendPacket(fd_.get(), outbox_.front().bytes, outbox_.front().passed.get());
    if (!sent) return End();
    if (!*sent) break;
    outbox_.pop_front();
  }
  loop_.Rearm(fd_.get(), outbox_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

void ClientSession::End() {
  if (ending_) return;
  ending_ = true;
  loop_.Forget(fd_.get());
  events_.ended();
}

}  // namespace relay::agent
