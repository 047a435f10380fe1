#include "transport/tcp/listener.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "transport/tcp/bind.h"

namespace relay::transport::tcp {
namespace {

constexpr int kBacklog = 512;

SocketAddress BoundAddress(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size);
  return SocketAddress::From(reinterpret_cast<sockaddr*>(&storage));
}

bool IsRunning(int fd, const std::string& interface) {
  ifreq request{};
  interface.copy(request.ifr_name, sizeof request.ifr_name - 1);
  return ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_RUNNING) != 0;
}

// An interface whose cable is out loses its IPv6 addresses, or may not use them yet. They come back with the cable.
bool BindToMissing(int fd, const std::string& interface, const SocketAddress& local) {
  if (errno != EADDRNOTAVAIL || local.family() != AF_INET6 || IsRunning(fd, interface)) return false;
  int one = 1;
  return setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &one, sizeof one) == 0 && bind(fd, local.get(), local.size()) == 0;
}

}  // namespace

Result<Listener> Listener::Open(const std::string& interface, const SocketAddress& address, const HopOptions& options) {
  Fd fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return FailErrno(ErrorCode::kSystem, "cannot make a socket");
  int one = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (address.family() == AF_INET6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  RELAY_TRY(BindToInterface(fd.get(), interface));
  SocketAddress local = address.WithScope(if_nametoindex(interface.c_str()));
  const bool bound_there = bind(fd.get(), local.get(), local.size()) == 0 || BindToMissing(fd.get(), interface, local);
  if (!bound_there || listen(fd.get(), kBacklog) != 0) {
    return FailErrno(ErrorCode::kSystem, "cannot listen on " + local.ToText() + " of interface " + interface);
  }
  SocketAddress bound = BoundAddress(fd.get());
  return Listener(std::move(fd), bound, options);
}

Result<std::optional<Accepted>> Listener::Accept() {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  Fd fd(accept4(fd_.get(), reinterpret_cast<sockaddr*>(&storage), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) {
    // A caller that hung up while it waited is no fault of the listener's.
    bool nobody = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ECONNABORTED;
    if (nobody) return std::nullopt;
    return FailErrno(ErrorCode::kSystem, "cannot accept a call on " + address_.ToText());
  }
  RELAY_TRY(PrepareSocket(fd.get(), options_));
  return Accepted{std::move(fd), SocketAddress::From(reinterpret_cast<sockaddr*>(&storage))};
}

}  // namespace relay::transport::tcp
