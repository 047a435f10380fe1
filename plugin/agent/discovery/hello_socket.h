// One UDP socket for hellos: on one interface's wire for one address family, or for unicast.
#pragma once
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/fd.h"
#include "base/socket_address.h"
#include "relay/result.h"

namespace relay::agent {

// Where hellos go on a wire: the groups that RFC 4727 sets aside for experiments, 224.0.0.254 and ff02::114. Both are
// of link-local scope, which no router forwards and no switch filters.
SocketAddress HelloGroup(int family);
// What IP and UDP add to a hello.
constexpr uint32_t HeaderBytes(int family) { return family == AF_INET6 ? 40 + 8 : 20 + 8; }

class HelloSocket {
 public:
  struct Datagram {
    std::span<const std::byte> bytes;  // of the buffer given
    SocketAddress from;
    SocketAddress to;        // the own address, or the group
    int ttl = -1;            // or hop limit, on arrival; -1: not told
    unsigned index = 0;      // of the interface that it came in by
    bool multicast = false;  // it was sent to a group
  };
  // A router's word that a datagram did not get there (ICMP time exceeded).
  struct Notice {
    SocketAddress destination, router;
  };

  // Hears and sends multicast on that interface alone. An error of sys_errno EAFNOSUPPORT or EADDRNOTAVAIL: this
  // family is not there (yet).
  static Result<HelloSocket> OpenWire(const std::string& interface, unsigned index, int family, uint16_t port);
  // Hears and sends unicast on every interface.
  static Result<HelloSocket> OpenUnicast(int family, uint16_t port);

  // `from` may be empty: the kernel's choice.
  Status Send(std::span<const std::byte> bytes, const SocketAddress& to, const SocketAddress& from, int ttl);
  // nullopt: nothing is there.
  std::optional<Datagram> Receive(std::span<std::byte> buffer);
  std::optional<Notice> ReceiveNotice();

  // While true, sockets that also ask for it may bind to the same port number. Wires and unicast share one; nobody
  // else is to have it.
  void Share(bool shared);
  int fd() const { return fd_.get(); }

 private:
  HelloSocket(Fd fd, int family, unsigned index) : fd_(std::move(fd)), family_(family), index_(index) {}
  Fd fd_;
  int family_;
  unsigned index_;  // of the wire's interface; 0: unicast
};

}  // namespace relay::agent
