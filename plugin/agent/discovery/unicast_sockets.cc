#include "agent/discovery/unicast_sockets.h"

#include <net/if.h>

namespace relay::agent {
namespace {

constexpr int kUnicastDatagramsPerTurn = 64;

}  // namespace

UnicastSockets::UnicastSockets(EventLoop& loop, Hooks hooks, HelloCounts& counts)
    : loop_(loop), hooks_(std::move(hooks)), counts_(counts), buffer_(kMaxHelloBytes) {}

UnicastSockets::~UnicastSockets() {
  for (auto& [family, socket] : sockets_) loop_.Forget(socket.fd());
}

Status UnicastSockets::Open(uint16_t port) {
  for (int family : {AF_INET, AF_INET6}) {
    auto opened = HelloSocket::OpenUnicast(family, port);
    const int error = opened ? 0 : opened.error().sys_errno;
    if (family == AF_INET6 && (error == EAFNOSUPPORT || error == EADDRNOTAVAIL)) continue;
    RELAY_TRY(opened);
    HelloSocket& socket = sockets_.emplace(family, std::move(*opened)).first->second;
    RELAY_TRY(loop_.Watch(socket.fd(), EPOLLIN, [this, &socket](uint32_t) { OnReadable(socket); }));
  }
  return {};
}

void UnicastSockets::Share(bool shared) {
  for (auto& [family, socket] : sockets_) socket.Share(shared);
}

void UnicastSockets::Send(const SocketAddress& to, const SocketAddress& from, std::span<const std::byte> bytes,
                          int ttl) {
  auto socket = sockets_.find(to.family());
  const bool sent = socket != sockets_.end() && socket->second.Send(bytes, to, from, ttl);
  ++(sent ? counts_.sent : counts_.send_failed);
}

void UnicastSockets::OnReadable(HelloSocket& socket) {
  while (auto notice = socket.ReceiveNotice()) hooks_.notice(*notice);
  for (int i = 0; i < kUnicastDatagramsPerTurn; ++i) {
    auto datagram = socket.Receive(buffer_);
    if (!datagram) return;
    if (datagram->multicast) continue;  // kernels before 4.20 hand over what other sockets have joined
    char via[IF_NAMESIZE] = "";
    if (if_indextoname(datagram->index, via) == nullptr) continue;
    hooks_.arrived({"", datagram->from, datagram->to, datagram->ttl, via}, datagram->bytes);
  }
}

}  // namespace relay::agent
