// One owner per file descriptor.
#pragma once
#include <utility>

#include "base/fork_guard.h"

namespace relay {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) { fork_guard::Record(fd); }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      fork_guard::Close(fd_);
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { fork_guard::Close(fd_); }

  // What `make` returns, without a moment in which a fork would copy it unseen.
  template <class Make>
  static Fd Born(Make&& make) {
    fork_guard::Section section;
    return Fd(make());
  }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  // Gives the descriptor to another Fd; it stays on record.
  int release() { return std::exchange(fd_, -1); }
  void reset() {
    fork_guard::Close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

}  // namespace relay
