// A listening socket on one address of one interface: what arrives on it came over that interface's link.
#pragma once
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/socket_address.h"
#include "relay/result.h"
#include "transport/tcp/socket_options.h"

namespace relay::transport::tcp {

struct Accepted {
  Fd fd;  // non-blocking, prepared with the listener's options
  SocketAddress from;
};

class Listener {
 public:
  // `address` with the port number to listen on (0: any).
  static Result<Listener> Open(const std::string& interface, const SocketAddress& address, const HopOptions& options);

  // nullopt: nobody is waiting.
  Result<std::optional<Accepted>> Accept();
  // Whoever is accepted from now on sends packets of so many bytes at most; 0: as the interface's MTU allows.
  Status Limit(uint32_t packet) { return LimitPackets(fd_.get(), packet); }
  int fd() const { return fd_.get(); }
  const SocketAddress& address() const { return address_; }

 private:
  Listener(Fd fd, SocketAddress address, HopOptions options)
      : fd_(std::move(fd)), address_(address), options_(options) {}

  Fd fd_;
  SocketAddress address_;
  HopOptions options_;
};

}  // namespace relay::transport::tcp
