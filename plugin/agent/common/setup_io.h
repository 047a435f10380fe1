// One set-up message on a non-blocking socket: written whole, read whole and never one byte more.
#pragma once
#include <array>
#include <span>
#include <vector>

#include "relay/setup.h"

namespace relay::agent {

class SetupReader {
 public:
  // kDone: type() and body() are valid. Another version of the other side is kUsage; the end of the stream, bytes
  // that are no set-up message, and a body above kMaxSetupBody are kRemote.
  Result<Progress> Read(int fd);
  bool began() const { return got_ > 0; }
  SetupType type() const { return prefix_.type; }
  std::span<const std::byte> body() const { return body_; }

 private:
  std::array<std::byte, kSetupPrefixBytes> head_{};
  SetupPrefix prefix_{SetupType::kOpen, 0};
  std::vector<std::byte> body_;
  size_t got_ = 0;  // prefix included
};

class SetupWriter {
 public:
  explicit SetupWriter(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  Result<Progress> Write(int fd);

 private:
  std::vector<std::byte> bytes_;
  size_t sent_ = 0;
};

// Serves a socket that has carried little so far: its buffer takes the bytes whole, or it is broken.
bool WriteWhole(int fd, std::span<const std::byte> bytes);
// The last words before the socket is closed: they arrive, whatever the other side has sent unread.
void SayLastWords(int fd, std::span<const std::byte> bytes);

}  // namespace relay::agent
