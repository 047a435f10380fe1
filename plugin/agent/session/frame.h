// The messages of an open session as they stand on its socket. Each is a set-up message (relay/setup.h); with a key, a
// MAC follows it:
//
//   +--------+------+--------------------------------------------------------------+
//   | prefix | body | MAC over (direction, number of the message, prefix, body)    |
//   +--------+------+--------------------------------------------------------------+
//
// Numbers count from 0 for each direction of one call, whose key no other call has: a message that was left out, added,
// changed, swapped with another, played back, or sent back to its sender has no MAC that fits. Pure.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "agent/trust/key.h"
#include "relay/setup.h"

namespace relay::agent {

enum class Side : uint8_t { kDialler, kAcceptor };

class FrameWriter {
 public:
  // `secret` is the call's (agent/trust/handshake.h), null when there is no key.
  FrameWriter(std::shared_ptr<const Key> secret, Side self) : secret_(std::move(secret)), self_(self) {}
  std::vector<std::byte> Encode(SetupType type, std::span<const std::byte> body);

 private:
  std::shared_ptr<const Key> secret_;
  Side self_;
  uint64_t number_ = 0;
};

struct Frame {
  SetupType type;
  std::vector<std::byte> body;
};

class FrameReader {
 public:
  FrameReader(std::shared_ptr<const Key> secret, Side other) : secret_(std::move(secret)), other_(other) {}

  void Append(std::span<const std::byte> bytes);
  // The next whole message; nullopt: more bytes are needed. An error ends the session: bytes that are no message of a
  // session, or (`forged` is true from then on) one whose MAC does not fit.
  // A REFUSED in place of the first message needs no MAC: whoever sends it takes no session.
  Result<std::optional<Frame>> Next();
  bool forged() const { return forged_; }

 private:
  std::shared_ptr<const Key> secret_;
  Side other_;
  uint64_t number_ = 0;
  bool forged_ = false;
  std::vector<std::byte> bytes_;
  size_t taken_ = 0;  // of bytes_
};

}  // namespace relay::agent
