#include "agent/flows/socket_diag.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "agent/flows/netlink.h"

namespace relay::agent {
namespace {

// The kernel declares these in include/net/tcp_states.h, which is no interface header.
constexpr uint8_t kClose = 7, kListen = 10;

struct SocketQuestion {
  nlmsghdr header;
  inet_diag_req_v2 body;
};

void PutSocketAddress(const SocketAddress& address, __be32* host, __be16* port) {
  *port = htons(address.port());
  if (address.family() == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address.get());
    std::memcpy(host, &v4->sin_addr, sizeof v4->sin_addr);
  } else {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address.get());
    std::memcpy(host, &v6->sin6_addr, sizeof v6->sin6_addr);
  }
}

SocketQuestion QuestionFor(const TcpSocket& socket, uint32_t sequence) {
  SocketQuestion out{};
  out.header.nlmsg_len = sizeof out;
  out.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  out.header.nlmsg_flags = NLM_F_REQUEST;
  out.header.nlmsg_seq = sequence;
  out.body.sdiag_family = static_cast<uint8_t>(socket.local.family());
  out.body.sdiag_protocol = IPPROTO_TCP;
  out.body.idiag_ext = 1 << (INET_DIAG_INFO - 1);
  out.body.idiag_states = ~0u;
  inet_diag_sockid& id = out.body.id;
  PutSocketAddress(socket.local, id.idiag_src, &id.idiag_sport);
  PutSocketAddress(socket.remote, id.idiag_dst, &id.idiag_dport);
  id.idiag_if = socket.interface_index;
  id.idiag_cookie[0] = socket.cookie == 0 ? INET_DIAG_NOCOOKIE : static_cast<uint32_t>(socket.cookie);
  id.idiag_cookie[1] = socket.cookie == 0 ? INET_DIAG_NOCOOKIE : static_cast<uint32_t>(socket.cookie >> 32);
  return out;
}

SocketFacts SocketFactsOf(std::span<const std::byte> attribute) {
  tcp_info info{};
  std::memcpy(&info, attribute.data(), std::min(attribute.size(), sizeof info));
  SocketFacts out;
  out.sent_bytes = info.tcpi_bytes_acked;
  out.received_bytes = info.tcpi_bytes_received;
  out.retransmits = info.tcpi_total_retrans;
  out.delivery_bytes_s = info.tcpi_delivery_rate;
  out.rtt_us = info.tcpi_rtt;
  out.unsent_bytes = info.tcpi_notsent_bytes;
  return out;
}

FlowTable::Looked SocketFactsOfError(std::span<const std::byte> answer) {
  nlmsgerr error;
  if (answer.size() < sizeof(nlmsghdr) + sizeof error) return FlowTable::Unavailable{};
  std::memcpy(&error, answer.data() + sizeof(nlmsghdr), sizeof error);
  // ESTALE: another socket has these addresses now.
  const bool gone = error.error == -ENOENT || error.error == -ESTALE;
  return gone ? FlowTable::Looked(FlowTable::Gone{}) : FlowTable::Unavailable{};
}

}  // namespace

FlowTable::Looked ParseSocketAnswer(std::span<const std::byte> answer, uint32_t sequence) {
  nlmsghdr header;
  if (answer.size() < sizeof header) return FlowTable::Unavailable{};
  std::memcpy(&header, answer.data(), sizeof header);
  if (header.nlmsg_len < sizeof header || header.nlmsg_len > answer.size() || header.nlmsg_seq != sequence) {
    return FlowTable::Unavailable{};
  }
  answer = answer.first(header.nlmsg_len);
  if (header.nlmsg_type == NLMSG_ERROR) return SocketFactsOfError(answer);
  inet_diag_msg body;
  if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY || answer.size() < sizeof header + sizeof body) {
    return FlowTable::Unavailable{};
  }
  std::memcpy(&body, answer.data() + sizeof header, sizeof body);
  // Without an inode no process holds it any more: the kernel only says farewell.
  if (body.idiag_inode == 0 || body.idiag_state == kClose || body.idiag_state == kListen) return FlowTable::Gone{};
  const auto info = FindAttribute(answer, NLMSG_ALIGN(sizeof header + sizeof body), INET_DIAG_INFO);
  if (info.empty()) return FlowTable::Unavailable{};
  return SocketFactsOf(info);
}

FlowTable::Looked SocketDiag::Look(const TcpSocket& socket) {
  if (!fd_) fd_ = OpenNetlink(NETLINK_SOCK_DIAG);
  if (!fd_) return FlowTable::Unavailable{};
  const SocketQuestion question = QuestionFor(socket, ++sequence_);
  return ParseSocketAnswer(AskNetlink(fd_.get(), std::as_bytes(std::span(&question, 1))), sequence_);
}

}  // namespace relay::agent
