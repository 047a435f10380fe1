#include "agent/acceptor.h"

#include "base/log.h"

namespace relay::agent {
namespace {

constexpr int kCallsPerTurn = 64;
constexpr Duration kPause = std::chrono::milliseconds(200);

}  // namespace

Acceptor::Acceptor(EventLoop& loop, const LocalNode& node, OnCall on_call)
    : loop_(loop), node_(node), on_call_(std::move(on_call)) {}

Acceptor::~Acceptor() {
  for (const Listening& l : listeners_) loop_.Forget(l.listener.fd());
  loop_.Cancel(paused_);
}

Status Acceptor::Start() {
  const auto& ports = node_.node().ports;
  for (size_t port = 0; port < ports.size(); ++port) {
    for (const SocketAddress& address : ports[port].addresses) {
      auto listener = transport::tcp::Listener::Open(node_.interfaces[port], address.WithPort(node_.port), node_.hop);
      if (!listener && listener.error().sys_errno == EADDRINUSE) {
        return Fail(ErrorCode::kUsage, listener.error().what +
                                           ": end the program that has this port, or set NCCL_RELAY_PORT to another "
                                           "one on every node of the fabric");
      }
      RELAY_TRY(listener);
      listeners_.push_back({port, std::move(*listener)});
    }
  }
  for (Listening& l : listeners_) {
    RELAY_TRY(loop_.Watch(l.listener.fd(), EPOLLIN, [this, &l](uint32_t) { Accept(l); }));
  }
  return {};
}

void Acceptor::Accept(Listening& listening) {
  for (int i = 0; i < kCallsPerTurn; ++i) {
    auto accepted = listening.listener.Accept();
    if (!accepted) {
      RELAY_WARN("%s", accepted.error().what.c_str());
      return Pause();
    }
    if (!*accepted) return;
    on_call_(listening.port, std::move(**accepted));
  }
}

// Out of descriptors: the waiting call would wake the loop again at once, and for nothing.
void Acceptor::Pause() {
  if (paused_ != 0) return;
  for (const Listening& l : listeners_) loop_.Rearm(l.listener.fd(), 0);
  paused_ = loop_.After(kPause, [this] {
    paused_ = 0;
    for (const Listening& l : listeners_) loop_.Rearm(l.listener.fd(), EPOLLIN);
  });
}

}  // namespace relay::agent
