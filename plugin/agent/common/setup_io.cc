#include "agent/common/setup_io.h"

#include <sys/socket.h>

namespace relay::agent {

Result<Progress> SetupReader::Read(int fd) {
  while (true) {
    const bool in_head = got_ < kSetupPrefixBytes;
    std::span<std::byte> room = in_head ? std::span<std::byte>(head_).subspan(got_)
                                        : std::span<std::byte>(body_).subspan(got_ - kSetupPrefixBytes);
    if (room.empty()) return Progress::kDone;
    ssize_t n = recv(fd, room.data(), room.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Progress::kAgain;
    if (n < 0) return FailErrno(ErrorCode::kRemote, "the hop broke");
    if (n == 0) return Fail(ErrorCode::kRemote, "the hop was closed");
    got_ += static_cast<size_t>(n);
    if (!in_head || got_ < kSetupPrefixBytes) continue;
    auto prefix = DecodeSetupPrefix(head_);
    RELAY_TRY(prefix);
    if (prefix->body_length > kMaxSetupBody) return Fail(ErrorCode::kRemote, "a message that belongs to a session");
    prefix_ = *prefix;
    body_.resize(prefix_.body_length);
  }
}

Result<Progress> SetupWriter::Write(int fd) {
  while (sent_ < bytes_.size()) {
    ssize_t n = send(fd, bytes_.data() + sent_, bytes_.size() - sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Progress::kAgain;
    if (n < 0) return FailErrno(ErrorCode::kRemote, "the hop broke");
    sent_ += static_cast<size_t>(n);
  }
  return Progress::kDone;
}

bool WriteWhole(int fd, std::span<const std::byte> bytes) {
  SetupWriter writer({bytes.begin(), bytes.end()});
  auto progress = writer.Write(fd);
  return progress && *progress == Progress::kDone;
}

void SayLastWords(int fd, std::span<const std::byte> bytes) {
  WriteWhole(fd, bytes);
  shutdown(fd, SHUT_WR);
  // Unread bytes would make the kernel reset the connection and the last words with it.
  char unread[4096];
  for (int i = 0; i < 16 && recv(fd, unread, sizeof unread, MSG_DONTWAIT) > 0; ++i) {
  }
}

}  // namespace relay::agent
