// A hop that is one connected stream socket: of TCP to a neighbour, or of a pair on one node.
#pragma once
#include "base/fd.h"
#include "relay/transport.h"

namespace relay::transport {

class SocketHop final : public Hop {
 public:
  explicit SocketHop(Fd fd) : fd_(std::move(fd)) {}

  Result<size_t> Send(std::span<const iovec> pieces) override;
  Result<size_t> Receive(std::span<const iovec> pieces) override;
  bool closed() const override { return closed_; }
  void ShutdownSend() override;
  int fd() const override { return fd_.get(); }

 private:
  Fd fd_;
  bool closed_ = false;
};

}  // namespace relay::transport
