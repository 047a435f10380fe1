// What the kernel sends on a netlink socket, piece by piece and bounded. Pure.
#pragma once
#include <linux/netlink.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>

#include "base/socket_address.h"

namespace relay::agent {

struct NetlinkMessage {
  nlmsghdr header{};
  std::span<const std::byte> body;
};

struct NetlinkAttribute {
  uint16_t type = 0;
  std::span<const std::byte> value;

  // nullopt when the value is shorter.
  template <class T>
  std::optional<T> As() const {
    if (value.size() < sizeof(T)) return std::nullopt;
    T out;
    std::memcpy(&out, value.data(), sizeof out);
    return out;
  }
  std::string Text() const;
  // Empty when it is no address of that family.
  SocketAddress Address(int family) const;
};

// Takes the first message or attribute off `rest`; nullopt at the end, or where the rest is not a whole one.
std::optional<NetlinkMessage> TakeMessage(std::span<const std::byte>& rest);
std::optional<NetlinkAttribute> TakeAttribute(std::span<const std::byte>& rest);

// Takes a fixed header off a message's body.
template <class T>
std::optional<T> TakeHeader(std::span<const std::byte>& rest) {
  const size_t aligned = NLMSG_ALIGN(sizeof(T));
  if (rest.size() < sizeof(T)) return std::nullopt;
  T out;
  std::memcpy(&out, rest.data(), sizeof out);
  rest = rest.subspan(std::min(aligned, rest.size()));
  return out;
}

}  // namespace relay::agent
