#include "transport/tcp/bind.h"

#include <sys/socket.h>

namespace relay::transport::tcp {

Status BindToInterface(int fd, const std::string& interface) {
  if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(), static_cast<socklen_t>(interface.size())) != 0) {
    return FailErrno(ErrorCode::kSystem, "cannot tie a socket to interface " + interface);
  }
  return {};
}

}  // namespace relay::transport::tcp
