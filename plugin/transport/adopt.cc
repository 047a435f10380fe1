#include <sys/socket.h>

#include "relay/transport.h"
#include "transport/loopback/hop.h"
#include "transport/tcp/hop.h"

namespace relay::transport {

std::unique_ptr<Hop> AdoptSocket(int fd) {
  int domain = 0;
  socklen_t size = sizeof domain;
  getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
  if (domain == AF_UNIX) return std::make_unique<loopback::LoopbackHop>(Fd(fd));
  return std::make_unique<tcp::TcpHop>(Fd(fd));
}

}  // namespace relay::transport
