// Which way the kernel sends what goes to an address.
#pragma once
#include <optional>
#include <string>

#include "agent/discovery/netlink_socket.h"
#include "base/socket_address.h"

namespace relay::agent {

struct KernelRoute {
  std::string interface;
  SocketAddress gateway;  // empty: the address is on that interface's wire
  SocketAddress source;   // the own address that the kernel prefers there; may be empty
  bool local = false;     // the address is this node's own
};

class RouteReader {
 public:
  static Result<RouteReader> Open();
  // nullopt: there is none.
  std::optional<KernelRoute> To(const SocketAddress& address);

 private:
  explicit RouteReader(NetlinkSocket socket) : socket_(std::move(socket)) {}
  NetlinkSocket socket_;
};

}  // namespace relay::agent
