// Scatter and gather on one connected stream socket: what the tcp and the loopback hop have in common.
#pragma once
#include "base/fd.h"
#include "relay/transport.h"

namespace relay::transport {

class StreamHop : public Hop {
 public:
  explicit StreamHop(Fd fd) : fd_(std::move(fd)) {}

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
