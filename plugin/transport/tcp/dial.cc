#include "transport/tcp/dial.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "transport/tcp/bind.h"

namespace relay::transport::tcp {

namespace {

// A cable's call cannot leave by another interface or through a router.
Status KeepOnLink(int fd, const std::string& interface) {
  RELAY_TRY(BindToInterface(fd, interface));
  int one = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_DONTROUTE, &one, sizeof one) != 0) {
    return FailErrno(ErrorCode::kSystem, "cannot keep a socket from being routed");
  }
  return {};
}

}  // namespace

Result<Fd> StartDial(const DialTarget& target, const HopOptions& options) {
  Fd fd(socket(target.far.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return FailErrno(ErrorCode::kSystem, "cannot make a socket");
  const bool routed = target.interface.empty();
  if (!routed) RELAY_TRY(KeepOnLink(fd.get(), target.interface));
  RELAY_TRY(PrepareSocket(fd.get(), options));
  int one = 1;
  // The neighbour checks where a call comes from: from the declared port, also where an interface has more addresses.
  setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  const unsigned scope = routed ? 0 : if_nametoindex(target.interface.c_str());
  SocketAddress near = target.near.WithPort(0).WithScope(scope);
  if (bind(fd.get(), near.get(), near.size()) != 0) {
    return FailErrno(ErrorCode::kSystem, "cannot use " + near.HostText() + (routed ? "" : " on " + target.interface));
  }
  SocketAddress far = target.far.WithScope(scope);
  if (connect(fd.get(), far.get(), far.size()) != 0 && errno != EINPROGRESS) {
    return FailErrno(ErrorCode::kRemote, far.ToText() + (routed ? " beyond routers" : " on " + target.interface));
  }
  return fd;
}

Status FinishDial(int fd) {
  int err = 0;
  socklen_t size = sizeof err;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) != 0) err = errno;
  if (err != 0) return FailErrno(ErrorCode::kRemote, "dial", err);
  return {};
}

}  // namespace relay::transport::tcp
