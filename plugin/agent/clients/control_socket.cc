#include "agent/clients/control_socket.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/socket.h"

namespace relay::agent {
namespace {

constexpr int kBacklog = 256;
constexpr int kTries = 100;
constexpr long kPauseNs = 20'000'000;

bool IsPath(const std::string& name) { return name[0] != '@'; }

// Who answers there now; nullopt when nobody does.
std::optional<ControlSocket::Taken> WhoHas(const std::string& name) {
  auto fd = control::ConnectSocket(name);
  if (!fd) return std::nullopt;
  ucred peer{};
  socklen_t size = sizeof peer;
  getsockopt(fd->get(), SOL_SOCKET, SO_PEERCRED, &peer, &size);
  return ControlSocket::Taken{name, peer.pid};
}

// A mistyped name must not cost anybody a file.
Status CheckNothingElseIsThere(const std::string& name) {
  struct stat facts {};
  if (lstat(name.c_str(), &facts) != 0 || S_ISSOCK(facts.st_mode)) return {};
  return Fail(ErrorCode::kUsage, name +
                                     " is there and is no socket: it is left alone, set NCCL_RELAY_SOCKET to a name " +
                                     "that nothing else has");
}

// Only the holder of the lock removes a stale file, so that two starters never remove each other's fresh one.
Result<Fd> LockPath(const std::string& name) {
  RELAY_TRY(CheckNothingElseIsThere(name));
  Fd lock(open((name + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return FailErrno(ErrorCode::kUsage, "cannot make " + name + ".lock");
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) return FailErrno(ErrorCode::kSystem, name + ".lock is held");
  unlink(name.c_str());
  return lock;
}

struct Bound {
  Fd fd, lock;
};

Result<Bound> BindOnce(const std::string& name, control::Users users) {
  auto address = control::AddressOf(name);
  RELAY_TRY(address);
  Bound out;
  if (IsPath(name)) {
    auto lock = LockPath(name);
    RELAY_TRY(lock);
    out.lock = std::move(*lock);
  }
  out.fd = Fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!out.fd) return FailErrno(ErrorCode::kSystem, "cannot make a socket");
  if (bind(out.fd.get(), address->get(), address->size) != 0) {
    return FailErrno(errno == EADDRINUSE ? ErrorCode::kSystem : ErrorCode::kUsage,
                     "cannot use the control socket " + name);
  }
  if (IsPath(name)) chmod(name.c_str(), users == control::Users::kAnyone ? 0666 : 0600);
  if (listen(out.fd.get(), kBacklog) != 0) return FailErrno(ErrorCode::kSystem, "cannot listen on " + name);
  return out;
}

bool IsTaken(const Error& error) { return error.sys_errno == EADDRINUSE || error.sys_errno == EWOULDBLOCK; }

}  // namespace

Result<ControlSocket> ControlSocket::Bind(const std::vector<std::string>& names, std::optional<Taken>& taken,
                                          control::Users users) {
  ControlSocket out;
  out.users_ = users;
  for (const std::string& name : names) {
    auto bound = BindOnce(name, users);
    for (int i = 0; i < kTries && !bound && IsTaken(bound.error()); ++i) {
      taken = WhoHas(name);
      if (taken) {
        return Fail(ErrorCode::kUsage, "another agent (process " + std::to_string(taken->pid) +
                                           ") serves this node on " + name + ": end it first");
      }
      timespec pause{0, kPauseNs};
      nanosleep(&pause, nullptr);
      bound = BindOnce(name, users);
    }
    RELAY_TRY(bound);
    out.names_.push_back(name);
    out.fds_.push_back(std::move(bound->fd));
    out.locks_.push_back(std::move(bound->lock));
  }
  return out;
}

ControlSocket::~ControlSocket() {
  for (size_t i = 0; i < fds_.size(); ++i) {
    if (IsPath(names_[i])) unlink(names_[i].c_str());
  }
}

}  // namespace relay::agent
