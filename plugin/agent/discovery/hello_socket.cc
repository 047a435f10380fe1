#include "agent/discovery/hello_socket.h"

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "transport/tcp/bind.h"

namespace relay::agent {
namespace {

// As sent; what passes a router loses one.
constexpr int kWireTtl = 255;
// Network control, as routing protocols mark themselves: a busy link does not look like a dead one.
constexpr int kHelloTrafficClass = 0xc0;
// Everybody on a large LAN may answer at once.
constexpr int kHelloReceiveBytes = 1 << 20;

void SetInt(int fd, int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof value); }

void AskForArrivals(int fd, int family) {
  if (family == AF_INET) {
    SetInt(fd, IPPROTO_IP, IP_RECVTTL, 1);
    SetInt(fd, IPPROTO_IP, IP_PKTINFO, 1);
    SetInt(fd, IPPROTO_IP, IP_TOS, kHelloTrafficClass);
    SetInt(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);  // only the groups that this socket has joined
  } else {
    SetInt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    SetInt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    SetInt(fd, IPPROTO_IPV6, IPV6_TCLASS, kHelloTrafficClass);
    SetInt(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
  }
}

bool JoinWire(int fd, int family, unsigned index) {
  const SocketAddress group = HelloGroup(family);
  if (family == AF_INET) {
    ip_mreqn membership{};
    membership.imr_multiaddr = reinterpret_cast<const sockaddr_in*>(group.get())->sin_addr;
    membership.imr_ifindex = static_cast<int>(index);
    SetInt(fd, IPPROTO_IP, IP_MULTICAST_TTL, kWireTtl);
    SetInt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
    return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &membership, sizeof membership) == 0;
  }
  ipv6_mreq membership{};
  membership.ipv6mr_multiaddr = reinterpret_cast<const sockaddr_in6*>(group.get())->sin6_addr;
  membership.ipv6mr_interface = index;
  SetInt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, kWireTtl);
  SetInt(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
  return setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &membership, sizeof membership) == 0;
}

Result<Fd> MakeHelloSocket(int family) {
  Fd fd = Fd::Born([&] { return socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); });
  if (!fd) return FailErrno(ErrorCode::kSystem, "cannot make a socket for hellos");
  SetInt(fd.get(), SOL_SOCKET, SO_RCVBUF, kHelloReceiveBytes);
  SetInt(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (family == AF_INET6) SetInt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  AskForArrivals(fd.get(), family);
  return fd;
}

Status BindHelloSocket(int fd, const SocketAddress& local) {
  if (bind(fd, local.get(), local.size()) != 0) {
    const std::string what = "cannot listen for hellos on UDP " + local.ToText();
    if (errno != EADDRINUSE) return FailErrno(ErrorCode::kSystem, what);
    return FailErrno(ErrorCode::kUsage, what +
                                            " (end the program that has this port, or set NCCL_RELAY_PORT to "
                                            "another one on every node of the fabric)");
  }
  SetInt(fd, SOL_SOCKET, SO_REUSEADDR, 0);
  return {};
}

SocketAddress Wildcard(int family) { return *SocketAddress::Parse(family == AF_INET ? "0.0.0.0" : "::"); }

template <class T>
void AddControl(msghdr& message, int level, int type, const T& value) {
  // The space was zeroed by the caller; msg_controllen counts what is used so far.
  auto* header = reinterpret_cast<cmsghdr*>(static_cast<char*>(message.msg_control) + message.msg_controllen);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(CMSG_DATA(header), &value, sizeof value);
  message.msg_controllen += CMSG_SPACE(sizeof value);
}

// Source, interface and TTL of one datagram to send.
void AddSource(msghdr& message, int family, unsigned index, const SocketAddress& from, int ttl) {
  if (family == AF_INET) {
    in_pktinfo source{};
    source.ipi_ifindex = static_cast<int>(index);
    if (!from.empty()) source.ipi_spec_dst = reinterpret_cast<const sockaddr_in*>(from.get())->sin_addr;
    AddControl(message, IPPROTO_IP, IP_PKTINFO, source);
    AddControl(message, IPPROTO_IP, IP_TTL, ttl);
    return;
  }
  in6_pktinfo source{};
  source.ipi6_ifindex = index;
  if (!from.empty()) source.ipi6_addr = reinterpret_cast<const sockaddr_in6*>(from.get())->sin6_addr;
  AddControl(message, IPPROTO_IPV6, IPV6_PKTINFO, source);
  AddControl(message, IPPROTO_IPV6, IPV6_HOPLIMIT, ttl);
}

template <class T>
T ControlValue(const cmsghdr* header) {
  T out;
  std::memcpy(&out, CMSG_DATA(header), sizeof out);
  return out;
}

void ReadControl(const cmsghdr* header, HelloSocket::Datagram& out) {
  auto is = [&](int level, int type, size_t size) {
    return header->cmsg_level == level && header->cmsg_type == type && header->cmsg_len >= CMSG_LEN(size);
  };
  if (is(IPPROTO_IP, IP_TTL, sizeof(int)) || is(IPPROTO_IPV6, IPV6_HOPLIMIT, sizeof(int))) {
    out.ttl = ControlValue<int>(header);
  }
  if (is(IPPROTO_IP, IP_PKTINFO, sizeof(in_pktinfo))) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    const auto info = ControlValue<in_pktinfo>(header);
    to.sin_addr = info.ipi_spec_dst;
    out.index = static_cast<unsigned>(info.ipi_ifindex);
    out.multicast = IN_MULTICAST(ntohl(info.ipi_addr.s_addr));
    out.to = SocketAddress::From(reinterpret_cast<sockaddr*>(&to));
  }
  if (is(IPPROTO_IPV6, IPV6_PKTINFO, sizeof(in6_pktinfo))) {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    const auto info = ControlValue<in6_pktinfo>(header);
    to.sin6_addr = info.ipi6_addr;
    out.index = info.ipi6_ifindex;
    out.multicast = IN6_IS_ADDR_MULTICAST(&info.ipi6_addr);
    out.to = SocketAddress::From(reinterpret_cast<sockaddr*>(&to));
  }
}

// The router of a time exceeded; empty for any other trouble.
SocketAddress RouterOf(const cmsghdr* header) {
  const bool ours = (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_RECVERR) ||
                    (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_RECVERR);
  if (!ours || header->cmsg_len < CMSG_LEN(sizeof(sock_extended_err) + sizeof(sockaddr_in))) return {};
  const auto error = ControlValue<sock_extended_err>(header);
  constexpr uint8_t kIcmp6TimeExceeded = 3;
  const bool exceeded = (error.ee_origin == SO_EE_ORIGIN_ICMP && error.ee_type == ICMP_TIME_EXCEEDED) ||
                        (error.ee_origin == SO_EE_ORIGIN_ICMP6 && error.ee_type == kIcmp6TimeExceeded);
  if (!exceeded) return {};
  // The offender follows the error; copied, because nothing promises its alignment.
  sockaddr_storage offender{};
  const size_t room = header->cmsg_len - CMSG_LEN(sizeof error);
  std::memcpy(&offender, CMSG_DATA(header) + sizeof error, std::min(room, sizeof offender));
  if (offender.ss_family == AF_INET6 && room < sizeof(sockaddr_in6)) return {};
  return SocketAddress::From(reinterpret_cast<sockaddr*>(&offender));
}

}  // namespace

SocketAddress HelloGroup(int family) { return *SocketAddress::Parse(family == AF_INET ? "224.0.0.254" : "ff02::114"); }

Result<HelloSocket> HelloSocket::OpenWire(const std::string& interface, unsigned index, int family, uint16_t port) {
  auto fd = MakeHelloSocket(family);
  RELAY_TRY(fd);
  RELAY_TRY(transport::tcp::BindToInterface(fd->get(), interface));
  // Bound to the group: unicast to the same port number goes to the other socket.
  RELAY_TRY(BindHelloSocket(fd->get(), HelloGroup(family).WithPort(port).WithScope(index)));
  if (!JoinWire(fd->get(), family, index)) {
    return FailErrno(ErrorCode::kSystem, "cannot join the group of hellos on " + interface);
  }
  return HelloSocket(std::move(*fd), family, index);
}

Result<HelloSocket> HelloSocket::OpenUnicast(int family, uint16_t port) {
  auto fd = MakeHelloSocket(family);
  RELAY_TRY(fd);
  if (family == AF_INET) SetInt(fd->get(), IPPROTO_IP, IP_RECVERR, 1);
  if (family == AF_INET6) SetInt(fd->get(), IPPROTO_IPV6, IPV6_RECVERR, 1);
  RELAY_TRY(BindHelloSocket(fd->get(), Wildcard(family).WithPort(port)));
  return HelloSocket(std::move(*fd), family, 0);
}

void HelloSocket::Share(bool shared) { SetInt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, shared ? 1 : 0); }

Status HelloSocket::Send(std::span<const std::byte> bytes, const SocketAddress& to, const SocketAddress& from,
                         int ttl) {
  alignas(cmsghdr) std::array<char, 128> control{};
  const SocketAddress scoped = index_ == 0 ? to : to.WithScope(index_);
  iovec piece{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_name = const_cast<sockaddr*>(scoped.get());
  message.msg_namelen = scoped.size();
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  AddSource(message, family_, index_, from, ttl);
  // An ICMP error about an earlier datagram is told by the next call, which then sends nothing.
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (sendmsg(fd_.get(), &message, MSG_DONTWAIT) >= 0) return {};
  }
  return FailErrno(ErrorCode::kSystem, "cannot send a hello to " + to.ToText());
}

std::optional<HelloSocket::Datagram> HelloSocket::Receive(std::span<std::byte> buffer) {
  // An error told here is about an earlier datagram sent; what has come in is behind it.
  for (int attempt = 0; attempt < 8; ++attempt) {
    sockaddr_storage from{};
    alignas(cmsghdr) std::array<char, 256> control{};
    iovec piece{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t n = recvmsg(fd_.get(), &message, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return std::nullopt;
    if (n < 0) continue;
    Datagram out;
    out.bytes = buffer.first(static_cast<size_t>(n));
    out.from = SocketAddress::From(reinterpret_cast<sockaddr*>(&from));
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) ReadControl(c, out);
    return out;
  }
  return std::nullopt;
}

std::optional<HelloSocket::Notice> HelloSocket::ReceiveNotice() {
  while (true) {
    sockaddr_storage destination{};
    alignas(cmsghdr) std::array<char, 512> control{};
    std::array<std::byte, 64> quoted;
    iovec piece{quoted.data(), quoted.size()};
    msghdr message{};
    message.msg_name = &destination;
    message.msg_namelen = sizeof destination;
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (recvmsg(fd_.get(), &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return std::nullopt;
    Notice out{SocketAddress::From(reinterpret_cast<sockaddr*>(&destination)), {}};
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr && out.router.empty(); c = CMSG_NXTHDR(&message, c)) {
      out.router = RouterOf(c);
    }
    if (!out.destination.empty() && !out.router.empty()) return out;
  }
}

}  // namespace relay::agent
