#include "transport/tcp/socket_options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>

namespace relay::transport::tcp {
namespace {

constexpr int kKeepaliveProbes = 3;

bool Set(int fd, int level, int name, int value) { return setsockopt(fd, level, name, &value, sizeof value) == 0; }

}  // namespace

Status LimitPackets(int fd, uint32_t packet) {
  int family = 0;
  socklen_t size = sizeof family;
  getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
  const int headers = (family == AF_INET6 ? 40 : 20) + 20;  // of IP and TCP; options count as payload here
  const int segment = packet == 0 ? 0 : static_cast<int>(packet) - headers;
  if (!Set(fd, IPPROTO_TCP, TCP_MAXSEG, segment)) {
    return FailErrno(ErrorCode::kSystem, "cannot limit the segments of a hop's socket to " + std::to_string(segment));
  }
  return {};
}

Status PrepareSocket(int fd, const HopOptions& options) {
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(options.hop_timeout).count();
  // The first probe and the probes after it share the time that silence may last.
  int interval = static_cast<int>(std::max<int64_t>(1, ms / 1000 / (kKeepaliveProbes + 1)));
  bool ok = Set(fd, IPPROTO_TCP, TCP_NODELAY, 1) && Set(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
            Set(fd, IPPROTO_TCP, TCP_KEEPIDLE, interval) && Set(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval) &&
            Set(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes) &&
            Set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(std::min<int64_t>(ms, INT32_MAX)));
  if (!ok) return FailErrno(ErrorCode::kSystem, "cannot set the options of a hop's socket");
  return options.packet == 0 ? Status{} : LimitPackets(fd, options.packet);
}

}  // namespace relay::transport::tcp
