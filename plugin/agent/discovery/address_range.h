// What an address says about where it lives.
#pragma once
#include "base/socket_address.h"

namespace relay::agent {

// True where no public router carries the address: RFC 1918, 6598 (100.64/10), 3927 (169.254/16), loopback; RFC 4193
// (fc00::/7), IPv6 link-local and loopback.
bool IsPrivateAddress(const SocketAddress& address);

}  // namespace relay::agent
