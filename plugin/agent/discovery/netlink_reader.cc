#include "agent/discovery/netlink_reader.h"

#include <linux/rtnetlink.h>

#include <algorithm>

namespace relay::agent {

std::string NetlinkAttribute::Text() const {
  const auto* begin = reinterpret_cast<const char*>(value.data());
  return std::string(begin, std::find(begin, begin + value.size(), '\0'));
}

SocketAddress NetlinkAttribute::Address(int family) const {
  if (family == AF_INET && value.size() == sizeof(in_addr)) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    std::memcpy(&v4.sin_addr, value.data(), sizeof v4.sin_addr);
    return SocketAddress::From(reinterpret_cast<sockaddr*>(&v4));
  }
  if (family == AF_INET6 && value.size() == sizeof(in6_addr)) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    std::memcpy(&v6.sin6_addr, value.data(), sizeof v6.sin6_addr);
    return SocketAddress::From(reinterpret_cast<sockaddr*>(&v6));
  }
  return {};
}

std::optional<NetlinkMessage> TakeMessage(std::span<const std::byte>& rest) {
  NetlinkMessage out;
  if (rest.size() < sizeof out.header) return std::nullopt;
  std::memcpy(&out.header, rest.data(), sizeof out.header);
  const size_t length = out.header.nlmsg_len;
  if (length < sizeof out.header || length > rest.size()) return std::nullopt;
  out.body = rest.subspan(sizeof out.header, length - sizeof out.header);
  rest = rest.subspan(std::min<size_t>(NLMSG_ALIGN(length), rest.size()));
  return out;
}

std::optional<NetlinkAttribute> TakeAttribute(std::span<const std::byte>& rest) {
  rtattr header;
  if (rest.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, rest.data(), sizeof header);
  const size_t length = header.rta_len;
  if (length < sizeof header || length > rest.size()) return std::nullopt;
  NetlinkAttribute out{static_cast<uint16_t>(header.rta_type & NLA_TYPE_MASK),
                       rest.subspan(sizeof header, length - sizeof header)};
  rest = rest.subspan(std::min<size_t>(RTA_ALIGN(length), rest.size()));
  return out;
}

}  // namespace relay::agent
