// One hop of bytes between two neighbours (tcp) or inside one node (loopback). plugin/transport/<kind> implements it,
// test/conformance holds every kind to the same suite.
#pragma once
#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>

#include "relay/result.h"

namespace relay::transport {

// Not thread-safe: the owner's lock guards it. Never blocks, never raises SIGPIPE.
class Hop {
 public:
  virtual ~Hop() = default;

  // Gathers; returns how many bytes were taken. 0: would block, wait for writable.
  virtual Result<size_t> Send(std::span<const iovec> pieces) = 0;
  // Scatters; returns how many bytes came. 0: nothing there yet. The end of the stream is an error of code kRemote,
  // `closed()` then tells an orderly end from a reset.
  virtual Result<size_t> Receive(std::span<const iovec> pieces) = 0;
  virtual bool closed() const = 0;
  // Everything sent so far still arrives; the peer then reads the end of the stream.
  virtual void ShutdownSend() = 0;
  // What epoll waits for. The hop owns it.
  virtual int fd() const = 0;
};

// A connected stream socket, TCP or UNIX, as the agent hands it over. Takes the descriptor.
std::unique_ptr<Hop> AdoptSocket(int fd);

}  // namespace relay::transport
