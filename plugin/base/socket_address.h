// An IPv4 or IPv6 address with port and scope. Value type.
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace relay {

class SocketAddress {
 public:
  SocketAddress() = default;
  // Copies a sockaddr of family AF_INET or AF_INET6; anything else gives an empty address.
  static SocketAddress From(const sockaddr* address);
  // "10.0.0.1", "fe80::1", "fe80::1%eth0"; nullopt when it is none of these. The port is 0.
  static std::optional<SocketAddress> Parse(std::string_view text);
  // As ToText writes it; the port must be there.
  static std::optional<SocketAddress> ParseWithPort(std::string_view text);

  bool empty() const { return storage_.ss_family == AF_UNSPEC; }
  int family() const { return storage_.ss_family; }
  // The address alone, in network order: 4 or 16 bytes, none when empty. Points into this.
  std::span<const std::byte> HostBytes() const;
  // Takes 4 or 16 such bytes; any other number makes an empty address.
  static SocketAddress FromHostBytes(std::span<const std::byte> bytes);
  uint16_t port() const;
  SocketAddress WithPort(uint16_t port) const;
  // IPv6 link-local addresses need the interface they live on.
  SocketAddress WithScope(unsigned interface_index) const;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return family() == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in); }

  std::string HostText() const;  // "10.0.0.1"
  std::string ToText() const;    // "10.0.0.1:21517", "[fe80::1]:21517"

  // IPv6 only: fe80::/10, good on one interface's wire.
  bool IsLinkLocal() const;
  // Same family and host bytes; port and scope are ignored.
  bool SameHost(const SocketAddress& other) const;

 private:
  sockaddr_storage storage_{};
};

}  // namespace relay
