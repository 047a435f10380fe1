// Dialling one neighbour over one link. Over a cable the socket cannot leave by another interface or through a router,
// so that the LAN never passes for one; beyond routers it goes where the kernel's routes lead.
#pragma once
#include <string>

#include "base/fd.h"
#include "base/socket_address.h"
#include "relay/result.h"
#include "transport/tcp/socket_options.h"

namespace relay::transport::tcp {

struct DialTarget {
  std::string interface;  // the near port; empty: a routed link
  SocketAddress near;     // its address; the port number is ignored
  SocketAddress far;      // the neighbour's address and port number
};

// Starts; never blocks. Wait for the socket to be writable, then ask FinishDial. Refusals that the kernel knows at once
// come from either call.
Result<Fd> StartDial(const DialTarget& target, const HopOptions& options);
Status FinishDial(int fd);

}  // namespace relay::transport::tcp
