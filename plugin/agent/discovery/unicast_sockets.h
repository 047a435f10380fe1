// The sockets for hellos by unicast: one for each address family that this node has.
#pragma once
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "agent/discovery/hello_counts.h"
#include "agent/discovery/hello_gate.h"
#include "agent/discovery/hello_socket.h"
#include "base/event_loop.h"

namespace relay::agent {

class UnicastSockets {
 public:
  struct Hooks {
    std::function<void(const HelloArrival&, std::span<const std::byte>)> arrived;
    std::function<void(const HelloSocket::Notice&)> notice;
  };
  UnicastSockets(EventLoop& loop, Hooks hooks, HelloCounts& counts);
  ~UnicastSockets();
  UnicastSockets(const UnicastSockets&) = delete;
  UnicastSockets& operator=(const UnicastSockets&) = delete;

  // An error when the port number is somebody else's. A family that this kernel does not have is none.
  Status Open(uint16_t port);
  void Share(bool shared);
  void Send(const SocketAddress& to, const SocketAddress& from, std::span<const std::byte> bytes, int ttl);

 private:
  void OnReadable(HelloSocket& socket);

  EventLoop& loop_;
  const Hooks hooks_;
  HelloCounts& counts_;
  std::map<int, HelloSocket> sockets_;  // by family
  std::vector<std::byte> buffer_;
};

}  // namespace relay::agent
