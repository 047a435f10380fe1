#include "transport/loopback/dial.h"

#include <sys/socket.h>

namespace relay::transport::loopback {

Result<Ends> Dial() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
    return FailErrno(ErrorCode::kSystem, "cannot make a pair of sockets");
  }
  return Ends{Fd(ends[0]), Fd(ends[1])};
}

}  // namespace relay::transport::loopback
