// The sockets of this node's ports: one for each family that a port has an address of, opened and closed as ports come
// and go.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/discovery/choice.h"
#include "agent/discovery/hello_counts.h"
#include "agent/discovery/hello_gate.h"
#include "agent/discovery/hello_socket.h"
#include "base/event_loop.h"

namespace relay::agent {

class WirePorts {
 public:
  struct Hooks {
    // The bytes are good until it returns.
    std::function<void(const HelloArrival&, std::span<const std::byte>)> arrived;
    // A port is there, or has a family or an address more, or another MTU. `link_local`: it has an IPv6 link-local
    // address.
    std::function<void(const std::string& port, bool link_local, uint32_t mtu)> up;
    // Around every bind: the unicast sockets share their port number for that moment.
    std::function<void(bool)> share;
  };
  WirePorts(EventLoop& loop, uint16_t port, Hooks hooks, HelloCounts& counts);
  ~WirePorts();
  WirePorts(const WirePorts&) = delete;
  WirePorts& operator=(const WirePorts&) = delete;

  // Closes those that are not among these (or that have another index by now); returns their names.
  std::vector<std::string> CloseAllBut(std::span<const Interface> chosen);
  // Opens what is missing. What cannot be opened is tried again after a while.
  void Open(std::span<const Interface> chosen);

  // Over every family and from every IPv4 address, so that a neighbour of whichever subnet can answer.
  void Send(const std::string& port, std::span<const std::byte> bytes);
  // One datagram, over one family, as an IP packet of so many bytes. `make`: the datagram, of that size.
  using MakeDatagram = std::function<std::vector<std::byte>(size_t bytes)>;
  void SendPadded(const std::string& port, uint32_t packet, const MakeDatagram& make);
  // Why a family of a port is without a socket; empty: none is.
  std::string Trouble(const std::string& port) const;

 private:
  struct Port {
    Interface interface;
    std::map<int, HelloSocket> sockets;  // by family
    std::string trouble;
  };
  bool OpenFamily(Port& port, int family);
  void OpenPort(const Interface& interface);
  void Close(Port& port);
  void OnReadable(const std::string& name, int family);
  void RetryLater();

  EventLoop& loop_;
  const uint16_t port_;
  const Hooks hooks_;
  HelloCounts& counts_;
  std::map<std::string, Port> ports_;
  std::vector<std::byte> buffer_;
  EventLoop::TimerId retry_timer_ = 0;
};

}  // namespace relay::agent
