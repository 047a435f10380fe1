#include "transport/socket_hop.h"

#include <sys/socket.h>

#include <algorithm>
#include <climits>

namespace relay::transport {
namespace {

msghdr Gathered(std::span<const iovec> pieces) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());  // the kernel only reads it
  message.msg_iovlen = std::min<size_t>(pieces.size(), IOV_MAX);
  return message;
}

bool WouldBlock(int err) { return err == EAGAIN || err == EWOULDBLOCK; }

bool AllEmpty(const msghdr& message) {
  return std::all_of(message.msg_iov, message.msg_iov + message.msg_iovlen,
                     [](const iovec& piece) { return piece.iov_len == 0; });
}

}  // namespace

Result<size_t> SocketHop::Send(std::span<const iovec> pieces) {
  msghdr message = Gathered(pieces);
  while (true) {
    ssize_t n = sendmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) return static_cast<size_t>(n);
    if (errno == EINTR) continue;
    if (WouldBlock(errno)) return 0;
    return FailErrno(ErrorCode::kRemote, "a hop broke while sending");
  }
}

Result<size_t> SocketHop::Receive(std::span<const iovec> pieces) {
  msghdr message = Gathered(pieces);
  // Zero bytes into no room would look like the end of the stream.
  if (AllEmpty(message)) return 0;
  while (true) {
    ssize_t n = recvmsg(fd_.get(), &message, MSG_DONTWAIT);
    if (n > 0) return static_cast<size_t>(n);
    if (n == 0) {
      closed_ = true;
      return Fail(ErrorCode::kRemote, "the other end of a hop closed it", ENOTCONN);
    }
    if (errno == EINTR) continue;
    if (WouldBlock(errno)) return 0;
    return FailErrno(ErrorCode::kRemote, "a hop broke while receiving");
  }
}

void SocketHop::ShutdownSend() { shutdown(fd_.get(), SHUT_WR); }

std::unique_ptr<Hop> AdoptSocket(int fd) { return std::make_unique<SocketHop>(Fd(fd)); }

}  // namespace relay::transport
