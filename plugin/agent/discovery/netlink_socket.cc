#include "agent/discovery/netlink_socket.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace relay::agent {
namespace {

// The kernel's dumps come in pieces of at most 32 KiB.
constexpr size_t kNetlinkBuffer = size_t{64} * 1024;
// Notifications of a burst that does not wait for this process.
constexpr int kNotificationBytes = 1 << 20;
// A kernel that does not answer is broken; the agent is not to hang with it.
constexpr timeval kAnswerPatience = {2, 0};

}  // namespace

Result<NetlinkSocket> NetlinkSocket::Open(uint32_t groups) {
  Fd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  sockaddr_nl local{};
  local.nl_family = AF_NETLINK;
  local.nl_groups = groups;
  if (!fd || bind(fd.get(), reinterpret_cast<sockaddr*>(&local), sizeof local) != 0) {
    return FailErrno(ErrorCode::kSystem, "cannot ask the kernel for this node's interfaces (rtnetlink)");
  }
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kNotificationBytes, sizeof kNotificationBytes);
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerPatience, sizeof kAnswerPatience);
  return NetlinkSocket(std::move(fd));
}

ssize_t NetlinkSocket::Receive(int flags) {
  buffer_.resize(kNetlinkBuffer);
  while (true) {
    sockaddr_nl from{};
    iovec piece{buffer_.data(), buffer_.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    const ssize_t n = recvmsg(fd_.get(), &message, flags);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
    if (from.nl_pid != 0) continue;  // another process, not the kernel
    if ((message.msg_flags & MSG_TRUNC) != 0) return -ENOBUFS;
    return n;
  }
}

Status NetlinkSocket::Ask(std::vector<std::byte> request, const Visit& visit) {
  nlmsghdr head;
  std::memcpy(&head, request.data(), sizeof head);
  head.nlmsg_len = static_cast<uint32_t>(request.size());
  head.nlmsg_seq = ++sequence_;
  std::memcpy(request.data(), &head, sizeof head);
  if (send(fd_.get(), request.data(), request.size(), 0) < 0) {
    return FailErrno(ErrorCode::kSystem, "cannot ask the kernel (rtnetlink)");
  }
  const bool dump = (head.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  while (true) {
    const ssize_t n = Receive(0);
    if (n == 0) return Fail(ErrorCode::kSystem, "the kernel does not answer (rtnetlink)");
    if (n < 0) return FailErrno(ErrorCode::kSystem, "the kernel's answer is lost (rtnetlink)", static_cast<int>(-n));
    std::span<const std::byte> rest(buffer_.data(), static_cast<size_t>(n));
    while (auto message = TakeMessage(rest)) {
      if (message->header.nlmsg_seq != sequence_) continue;
      if (message->header.nlmsg_type == NLMSG_DONE) return {};
      if (message->header.nlmsg_type == NLMSG_ERROR) {
        int error = -EPROTO;
        if (message->body.size() >= sizeof error) std::memcpy(&error, message->body.data(), sizeof error);
        return FailErrno(ErrorCode::kSystem, "the kernel refuses a question (rtnetlink)", -error);
      }
      visit(*message);
      if (!dump) return {};
    }
  }
}

bool NetlinkSocket::Drain(const Visit& visit) {
  bool complete = true;
  while (true) {
    const ssize_t n = Receive(MSG_DONTWAIT);
    if (n == 0) return complete;
    if (n == -ENOBUFS) {
      complete = false;
      continue;
    }
    if (n < 0) return false;
    std::span<const std::byte> rest(buffer_.data(), static_cast<size_t>(n));
    while (auto message = TakeMessage(rest)) visit(*message);
  }
}

void AddAttribute(std::vector<std::byte>& request, uint16_t type, std::span<const std::byte> value) {
  rtattr header{};
  header.rta_len = static_cast<unsigned short>(sizeof header + value.size());
  header.rta_type = type;
  const size_t at = request.size();
  request.resize(at + RTA_ALIGN(header.rta_len));
  std::memcpy(request.data() + at, &header, sizeof header);
  std::memcpy(request.data() + at + sizeof header, value.data(), value.size());
}

}  // namespace relay::agent
