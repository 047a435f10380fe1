#include "agent/discovery/address_range.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace relay::agent {
namespace {

struct AddressRange {
  uint32_t bits, mask;
};
constexpr std::array<AddressRange, 6> kPrivateIpv4 = {{{0x0a000000, 0xff000000},
                                                       {0xac100000, 0xfff00000},
                                                       {0xc0a80000, 0xffff0000},
                                                       {0x64400000, 0xffc00000},
                                                       {0xa9fe0000, 0xffff0000},
                                                       {0x7f000000, 0xff000000}}};

bool IsPrivateIpv6(const in6_addr& address) {
  return (address.s6_addr[0] & 0xfe) == 0xfc || IN6_IS_ADDR_LINKLOCAL(&address) || IN6_IS_ADDR_LOOPBACK(&address);
}

}  // namespace

bool IsPrivateAddress(const SocketAddress& address) {
  if (address.family() == AF_INET6) {
    return IsPrivateIpv6(reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr);
  }
  if (address.family() != AF_INET) return false;
  const uint32_t bits = ntohl(reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr.s_addr);
  return std::any_of(kPrivateIpv4.begin(), kPrivateIpv4.end(),
                     [bits](const AddressRange& range) { return (bits & range.mask) == range.bits; });
}

}  // namespace relay::agent
