#include "agent/clients/control_server.h"

#include <sys/socket.h>

#include <cerrno>

#include "base/log.h"

namespace relay::agent {
namespace {

constexpr Duration kPauseWithoutDescriptors = std::chrono::milliseconds(200);

// Whoever waits for WELCOME would wait for all its patience.
void SayNo(int fd, RefusedMessage why) {
  (void)control::SendPacket(fd, control::Encode({0, control::Failed{std::move(why)}}));
}

}  // namespace

ControlServer::ControlServer(EventLoop& loop, ControlSocket socket, ClientSession::MakeWelcome welcome, Budget& budget,
                             Counters& counters, Handlers handlers)
    : loop_(loop),
      socket_(std::move(socket)),
      welcome_(std::move(welcome)),
      budget_(budget),
      counters_(counters),
      handlers_(std::move(handlers)) {}

ControlServer::~ControlServer() {
  for (const Fd& fd : socket_.fds()) loop_.Forget(fd.get());
  loop_.Cancel(remove_timer_);
  loop_.Cancel(paused_);
}

Status ControlServer::Start() {
  for (const Fd& fd : socket_.fds()) {
    RELAY_TRY(loop_.Watch(fd.get(), EPOLLIN, [this, listener = fd.get()](uint32_t) { Accept(listener); }));
  }
  return {};
}

void ControlServer::Accept(int listener) {
  Fd fd(accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) return errno == EMFILE || errno == ENFILE ? Pause() : void();
  auto pid = control::CheckPeer(fd.get(), "a client's end of the control socket", socket_.users());
  if (!pid) return SayNo(fd.get(), handlers_.stranger(pid.error().what));
  auto lease = budget_.Take(1);
  if (!lease) return SayNo(fd.get(), handlers_.full(*pid));
  ClientId id = next_client_++;
  ClientSession::Events events{
      [this, id](control::Packet packet) { handlers_.packet(id, std::move(packet)); },
      [this, id] {
        ended_.push_back(id);
        // Later: whoever sent the packet that ended it is still at work.
        if (remove_timer_ == 0) remove_timer_ = loop_.After(Duration::zero(), [this] { RemoveEnded(); });
      },
  };
  auto session =
      std::make_unique<ClientSession>(loop_, std::move(fd), *pid, welcome_, std::move(*lease), std::move(events));
  if (auto started = session->Start(); !started) {
    RELAY_WARN("%s", started.error().what.c_str());
    return;
  }
  Add(counters_.clients_served);
  sessions_[id] = std::move(session);
}

// The waiting client would wake the loop again at once, and for nothing.
void ControlServer::Pause() {
  if (paused_ != 0) return;
  RELAY_WARN("a client of the control socket waits: no descriptor is left, raise `ulimit -n` (%zu)", budget_.whole());
  for (const Fd& fd : socket_.fds()) loop_.Rearm(fd.get(), 0);
  paused_ = loop_.After(kPauseWithoutDescriptors, [this] {
    paused_ = 0;
    for (const Fd& fd : socket_.fds()) loop_.Rearm(fd.get(), EPOLLIN);
  });
}

ClientSession* ControlServer::Find(ClientId id) {
  auto it = sessions_.find(id);
  return it == sessions_.end() ? nullptr : it->second.get();
}

void ControlServer::RemoveEnded() {
  remove_timer_ = 0;
  for (ClientId id : std::exchange(ended_, {})) {
    if (!sessions_.extract(id).empty()) handlers_.gone(id);
  }
}

}  // namespace relay::agent
