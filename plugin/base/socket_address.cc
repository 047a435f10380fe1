#include "base/socket_address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <charconv>
#include <cstring>

namespace relay {

SocketAddress SocketAddress::From(const sockaddr* address) {
  SocketAddress out;
  if (address->sa_family == AF_INET) std::memcpy(&out.storage_, address, sizeof(sockaddr_in));
  if (address->sa_family == AF_INET6) std::memcpy(&out.storage_, address, sizeof(sockaddr_in6));
  return out;
}

std::optional<SocketAddress> SocketAddress::Parse(std::string_view text) {
  std::string host(text.substr(0, text.find('%')));
  sockaddr_in v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    if (host.size() != text.size()) return std::nullopt;
    v4.sin_family = AF_INET;
    return From(reinterpret_cast<sockaddr*>(&v4));
  }
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1) return std::nullopt;
  v6.sin6_family = AF_INET6;
  if (host.size() != text.size()) v6.sin6_scope_id = if_nametoindex(std::string(text.substr(host.size() + 1)).c_str());
  return From(reinterpret_cast<sockaddr*>(&v6));
}

std::optional<SocketAddress> SocketAddress::ParseWithPort(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon), digits = text.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  const auto address = Parse(host);
  if (!address || bracketed != (address->family() == AF_INET6)) return std::nullopt;
  return address->WithPort(port);
}

std::span<const std::byte> SocketAddress::HostBytes() const {
  if (family() == AF_INET) {
    return std::as_bytes(std::span(&reinterpret_cast<const sockaddr_in*>(&storage_)->sin_addr, 1));
  }
  if (family() == AF_INET6) {
    return std::as_bytes(std::span(&reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr, 1));
  }
  return {};
}

SocketAddress SocketAddress::FromHostBytes(std::span<const std::byte> bytes) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  if (bytes.size() == sizeof v4.sin_addr) {
    std::memcpy(&v4.sin_addr, bytes.data(), bytes.size());
    return From(reinterpret_cast<sockaddr*>(&v4));
  }
  if (bytes.size() != sizeof v6.sin6_addr) return {};
  std::memcpy(&v6.sin6_addr, bytes.data(), bytes.size());
  return From(reinterpret_cast<sockaddr*>(&v6));
}

bool SocketAddress::IsLinkLocal() const {
  return family() == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr);
}

uint16_t SocketAddress::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
  if (family() == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_port);
  return 0;
}

SocketAddress SocketAddress::WithPort(uint16_t port) const {
  SocketAddress out = *this;
  if (family() == AF_INET) reinterpret_cast<sockaddr_in*>(&out.storage_)->sin_port = htons(port);
  if (family() == AF_INET6) reinterpret_cast<sockaddr_in6*>(&out.storage_)->sin6_port = htons(port);
  return out;
}

SocketAddress SocketAddress::WithScope(unsigned interface_index) const {
  SocketAddress out = *this;
  if (family() == AF_INET6) reinterpret_cast<sockaddr_in6*>(&out.storage_)->sin6_scope_id = interface_index;
  return out;
}

std::string SocketAddress::HostText() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (family() == AF_INET)
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&storage_)->sin_addr, text, sizeof text);
  if (family() == AF_INET6) {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr, text, sizeof text);
  }
  return text;
}

std::string SocketAddress::ToText() const {
  std::string host = HostText();
  return (family() == AF_INET6 ? "[" + host + "]" : host) + ":" + std::to_string(port());
}

bool SocketAddress::SameHost(const SocketAddress& other) const {
  if (family() != other.family()) return false;
  if (family() == AF_INET) {
    return reinterpret_cast<const sockaddr_in*>(&storage_)->sin_addr.s_addr ==
           reinterpret_cast<const sockaddr_in*>(&other.storage_)->sin_addr.s_addr;
  }
  return family() == AF_INET6 &&
         std::memcmp(&reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr,
                     &reinterpret_cast<const sockaddr_in6*>(&other.storage_)->sin6_addr, sizeof(in6_addr)) == 0;
}

}  // namespace relay
