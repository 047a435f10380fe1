#include "agent/flows/tcp_socket.h"

#include <net/if.h>
#include <sys/socket.h>

namespace relay::agent {
namespace {

SocketAddress AddressBy(int (*ask)(int, sockaddr*, socklen_t*), int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (ask(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  return SocketAddress::From(reinterpret_cast<const sockaddr*>(&storage));
}

}  // namespace

std::optional<TcpSocket> Identify(int fd) {
  TcpSocket out;
  out.local = AddressBy(getsockname, fd);
  out.remote = AddressBy(getpeername, fd);
  if (out.local.empty() || out.remote.empty()) return std::nullopt;
  char interface[IF_NAMESIZE] = "";
  socklen_t size = sizeof interface;
  if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, &size) == 0 && size > 0) {
    out.interface = interface;
    out.interface_index = if_nametoindex(interface);
  }
  size = sizeof out.cookie;
  if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &out.cookie, &size) != 0) out.cookie = 0;
  return out;
}

}  // namespace relay::agent
