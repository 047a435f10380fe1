#include "control/socket.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace relay::control {
namespace {

// More than one descriptor never comes with a packet; what does come is closed.
constexpr size_t kMaxPassed = 4;
union PassedBuffer {
  char bytes[CMSG_SPACE(kMaxPassed * sizeof(int))];
  cmsghdr align;
};

Fd TakePassed(msghdr& message, size_t& count) {
  Fd first;
  count = 0;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < n; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      Fd owned(fd);
      if (count++ == 0) first = std::move(owned);
    }
  }
  return first;
}

bool CarriesDescriptor(const Message& m) {
  return std::holds_alternative<Connected>(m) || std::holds_alternative<Arrived>(m);
}

}  // namespace

std::vector<std::string> SocketNames(const std::string& knob) {
  if (!knob.empty()) return {knob};
  return {"/run/nccl-relay/agent.sock", "@nccl-relay"};
}

Result<UnixAddress> AddressOf(const std::string& name) {
  UnixAddress address;
  address.storage.sun_family = AF_UNIX;
  if (name.empty() || name == "@" || name.size() >= sizeof address.storage.sun_path) {
    return Fail(ErrorCode::kUsage, "the name of a control socket has 1 to 107 bytes: " + name);
  }
  std::memcpy(address.storage.sun_path, name.data(), name.size());
  bool abstract = name[0] == '@';
  if (abstract) address.storage.sun_path[0] = '\0';
  // An abstract name is exactly its bytes; a path ends with a zero.
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + (abstract ? 0 : 1));
  return address;
}

Result<Fd> ConnectSocket(const std::string& name) {
  auto address = AddressOf(name);
  RELAY_TRY(address);
  Fd fd = Fd::Born([] { return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); });
  if (!fd) return FailErrno(ErrorCode::kSystem, "cannot make a socket");
  if (connect(fd.get(), address->get(), address->size) != 0) {
    return FailErrno(ErrorCode::kSystem, "control socket " + name);
  }
  return fd;
}

Result<pid_t> CheckPeer(int fd, const std::string& what, Users users) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return FailErrno(ErrorCode::kSystem, "cannot ask who is at the other end of " + what);
  }
  if (users == Users::kOwnAndRoot && peer.uid != geteuid() && peer.uid != 0) {
    return Fail(ErrorCode::kUsage,
                what + " belongs to user " + std::to_string(peer.uid) + " (process " + std::to_string(peer.pid) +
                    "), this is user " + std::to_string(geteuid()) +
                    ": set NCCL_RELAY_SOCKET and NCCL_RELAY_PORT to values of your own, or let a daemon serve "
                    "everyone (docs/operating.md)");
  }
  return peer.pid;
}

Result<bool> SendPacket(int fd, std::span<const std::byte> bytes, int passed) {
  iovec piece{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  PassedBuffer buffer{};
  if (passed >= 0) {
    message.msg_control = buffer.bytes;
    message.msg_controllen = CMSG_SPACE(sizeof(int));
    cmsghdr* c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(c), &passed, sizeof passed);
  }
  while (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
    return FailErrno(ErrorCode::kRemote, "the control socket broke");
  }
  return true;
}

Result<std::optional<Received>> ReceivePacket(int fd) {
  std::vector<std::byte> bytes(kMaxPacket);
  iovec piece{bytes.data(), bytes.size()};
  PassedBuffer buffer{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = buffer.bytes;
  message.msg_controllen = sizeof buffer.bytes;
  ssize_t n;
  size_t passed = 0;
  Fd first;
  {
    fork_guard::Section section;
    while ((n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)) < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return std::nullopt;
      return FailErrno(ErrorCode::kRemote, "the control socket broke");
    }
    first = TakePassed(message, passed);
  }
  if (n == 0) return Fail(ErrorCode::kRemote, "the control socket was closed");
  if (message.msg_flags & MSG_TRUNC) return Fail(ErrorCode::kRemote, "a packet on the control socket is too long");
  auto packet = Decode(std::span(bytes).first(static_cast<size_t>(n)));
  RELAY_TRY(packet);
  size_t expected = CarriesDescriptor(packet->message) ? 1 : 0;
  if (passed < expected && (message.msg_flags & MSG_CTRUNC)) {
    return Fail(ErrorCode::kSystem, "no descriptor is left in this process: raise `ulimit -n`");
  }
  if (passed != expected) return Fail(ErrorCode::kRemote, "a packet on the control socket has a wrong descriptor");
  return Received{std::move(*packet), std::move(first)};
}

}  // namespace relay::control
