// A connected TCP socket by what the kernel knows it by, wherever its descriptor went meanwhile.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/socket_address.h"

namespace relay::agent {

struct TcpSocket {
  SocketAddress local, remote;
  std::string interface;         // it is bound to; empty: to none
  uint32_t interface_index = 0;  // 0: to none
  uint64_t cookie = 0;           // the kernel's number, never used twice; 0: unknown
};

// nullopt: not a connected TCP socket.
std::optional<TcpSocket> Identify(int fd);

}  // namespace relay::agent
