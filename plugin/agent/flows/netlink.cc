#include "agent/flows/netlink.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>

namespace relay::agent {
namespace {

constexpr size_t kMaxNetlinkAnswer = size_t{64} * 1024;

}  // namespace

Fd OpenNetlink(int protocol) {
  return Fd::Born([protocol] { return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol); });
}

std::vector<std::byte> AskNetlink(int fd, std::span<const std::byte> question) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  // An answer that an earlier question left behind would be taken for this one's.
  while (recv(fd, nullptr, 0, MSG_DONTWAIT | MSG_TRUNC) > 0) {
  }
  const auto sent = sendto(fd, question.data(), question.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                           reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  if (sent != static_cast<ssize_t>(question.size())) return {};
  const ssize_t length = recv(fd, nullptr, 0, MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC);
  if (length <= 0 || static_cast<size_t>(length) > kMaxNetlinkAnswer) return {};
  std::vector<std::byte> answer(static_cast<size_t>(length));
  sockaddr_nl from{};
  socklen_t size = sizeof from;
  const ssize_t n = recvfrom(fd, answer.data(), answer.size(), MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from), &size);
  if (n <= 0 || from.nl_pid != 0) return {};
  answer.resize(static_cast<size_t>(n));
  return answer;
}

std::span<const std::byte> FindAttribute(std::span<const std::byte> message, size_t at, int type) {
  while (at + sizeof(rtattr) <= message.size()) {
    rtattr attribute;
    std::memcpy(&attribute, message.data() + at, sizeof attribute);
    if (attribute.rta_len < sizeof attribute || attribute.rta_len > message.size() - at) return {};
    if ((attribute.rta_type & NLA_TYPE_MASK) == type) {
      return message.subspan(at + sizeof attribute, attribute.rta_len - sizeof attribute);
    }
    at += RTA_ALIGN(attribute.rta_len);
  }
  return {};
}

}  // namespace relay::agent
