#include "agent/node/acceptor.h"

#include <algorithm>

#include "base/log.h"

namespace relay::agent {
namespace {

constexpr int kCallsPerTurn = 64;
constexpr Duration kPause = std::chrono::milliseconds(200);

}  // namespace

Acceptor::Acceptor(EventLoop& loop, const transport::tcp::HopOptions& hop, OnCall on_call)
    : loop_(loop), hop_(hop), on_call_(std::move(on_call)) {}

Acceptor::~Acceptor() {
  for (const auto& [key, listener] : listeners_) loop_.Forget(listener.fd());
  loop_.Cancel(paused_);
  loop_.Cancel(again_);
}

Status Acceptor::Open(const Door& door) {
  auto listener = transport::tcp::Listener::Open(door.interface, door.address, hop_);
  if (!listener && listener.error().sys_errno == EADDRINUSE) {
    return Fail(ErrorCode::kUsage, listener.error().what +
                                       ": end the program that has this port, or set NCCL_RELAY_PORT to another "
                                       "one on every node of the fabric");
  }
  RELAY_TRY(listener);
  if (const auto limit = limits_.find(door.interface); limit != limits_.end())
    RELAY_TRY(listener->Limit(limit->second));
  const Key key = KeyOf(door);
  RELAY_TRY(loop_.Watch(listener->fd(), paused_ == 0 ? uint32_t{EPOLLIN} : 0u, [this, key](uint32_t) { Accept(key); }));
  listeners_.emplace(key, std::move(*listener));
  return {};
}

Status Acceptor::Listen(const std::vector<Door>& doors) {
  for (const Door& door : doors) RELAY_TRY(Open(door));
  return {};
}

Status Acceptor::Follow(std::vector<Door> doors) {
  wanted_ = std::move(doors);
  for (auto it = listeners_.begin(); it != listeners_.end();) {
    const bool wanted =
        std::any_of(wanted_.begin(), wanted_.end(), [&](const Door& door) { return KeyOf(door) == it->first; });
    if (!wanted) loop_.Forget(it->second.fd());
    it = wanted ? std::next(it) : listeners_.erase(it);
  }
  return OpenMissing();
}

Status Acceptor::OpenMissing() {
  Status operators;
  loop_.Cancel(again_);
  again_ = 0;
  for (const Door& door : wanted_) {
    if (listeners_.contains(KeyOf(door))) continue;
    const Status opened = Open(door);
    if (opened) continue;
    // A used port is the operator's to free; anything else passes.
    if (opened.error().code == ErrorCode::kUsage) {
      if (complained_.insert(KeyOf(door)).second) RELAY_WARN("%s", opened.error().what.c_str());
      if (operators) operators = opened;
    }
    if (again_ == 0) again_ = loop_.After(kPause, [this] { (void)OpenMissing(); });
  }
  return operators;
}

void Acceptor::Limit(const std::string& interface, uint32_t packet) {
  limits_[interface] = packet;
  for (auto& [key, listener] : listeners_) {
    if (key.first != interface) continue;
    if (Status limited = listener.Limit(packet); !limited) RELAY_WARN("%s", limited.error().what.c_str());
  }
}

void Acceptor::Accept(const Key& key) {
  const auto it = listeners_.find(key);
  for (int i = 0; it != listeners_.end() && i < kCallsPerTurn; ++i) {
    auto accepted = it->second.Accept();
    if (!accepted) {
      RELAY_WARN("%s", accepted.error().what.c_str());
      return Pause();
    }
    if (!*accepted) return;
    on_call_(key.first, std::move(**accepted));
  }
}

// Out of descriptors: the waiting call would wake the loop again at once, and for nothing.
void Acceptor::Pause() {
  if (paused_ != 0) return;
  for (const auto& [key, listener] : listeners_) loop_.Rearm(listener.fd(), 0);
  paused_ = loop_.After(kPause, [this] {
    paused_ = 0;
    for (const auto& [key, listener] : listeners_) loop_.Rearm(listener.fd(), EPOLLIN);
  });
}

}  // namespace relay::agent
