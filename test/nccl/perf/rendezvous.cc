#include "perf/rendezvous.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>

#include "perf/failure.h"

namespace perf {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr uint32_t kMagic = 0x6e706672;  // tells our ranks from strangers on the port
constexpr milliseconds kRetry(20);

struct Hello {
  uint32_t magic, rank;
};

int MillisecondsUntil(steady_clock::time_point deadline) {
  auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now()).count();
  return static_cast<int>(std::clamp<long long>(left, 0, 1000000));
}

bool WaitFor(int fd, short events, steady_clock::time_point deadline) {
  pollfd entry{fd, events, 0};
  for (;;) {
    int ready = poll(&entry, 1, MillisecondsUntil(deadline));
    if (ready > 0) return true;
    if (ready == 0 && steady_clock::now() >= deadline) return false;
    if (ready < 0 && errno != EINTR) Fail("poll: %s", strerror(errno));
  }
}

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Addresses Resolve(const Environment& environment) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* list = nullptr;
  int error = getaddrinfo(environment.master_address.c_str(), environment.master_port.c_str(), &hints, &list);
  if (error)
    Fail("MASTER_ADDR=%s MASTER_PORT=%s: %s", environment.master_address.c_str(), environment.master_port.c_str(),
         gai_strerror(error));
  return Addresses(list, freeaddrinfo);
}

void SendSmallMessagesAtOnce(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// MASTER_ADDR may be how others reach this node rather than an address it has itself: then any address will do.
bool Bind(int fd, const addrinfo& address) {
  if (bind(fd, address.ai_addr, address.ai_addrlen) == 0) return true;
  if (errno != EADDRNOTAVAIL) return false;
  sockaddr_storage any{};
  memcpy(&any, address.ai_addr, address.ai_addrlen);
  if (address.ai_family == AF_INET) reinterpret_cast<sockaddr_in&>(any).sin_addr.s_addr = INADDR_ANY;
  if (address.ai_family == AF_INET6) reinterpret_cast<sockaddr_in6&>(any).sin6_addr = in6addr_any;
  return bind(fd, reinterpret_cast<sockaddr*>(&any), address.ai_addrlen) == 0;
}

}  // namespace

Rendezvous::Rendezvous(const Environment& environment, std::chrono::seconds limit)
    : environment_(environment), limit_(limit), fds_(static_cast<size_t>(environment.ranks), -1) {
  if (environment_.ranks == 1) return;
  if (environment_.rank == 0) {
    Listen();
  } else {
    Connect();
  }
}

Rendezvous::~Rendezvous() {
  for (int fd : fds_)
    if (fd >= 0) close(fd);
}

void Rendezvous::Listen() {
  Addresses address = Resolve(environment_);
  int listener = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (listener < 0 || !Bind(listener, *address) || listen(listener, SOMAXCONN))
    Fail("cannot listen on %s port %s: %s", environment_.master_address.c_str(), environment_.master_port.c_str(),
         strerror(errno));
  const Deadline deadline = NewDeadline();
  for (int missing = environment_.ranks - 1; missing > 0;) {
    if (!WaitFor(listener, POLLIN, deadline))
      Fail("%d of %d ranks did not come to %s port %s within %lld s", missing, environment_.ranks,
           environment_.master_address.c_str(), environment_.master_port.c_str(),
           static_cast<long long>(limit_.count()));
    int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) continue;
    Hello hello{};
    bool whole = WaitFor(fd, POLLIN, std::min(deadline, steady_clock::now() + std::chrono::seconds(5))) &&
                 recv(fd, &hello, sizeof hello, 0) == sizeof hello;
    auto rank = static_cast<size_t>(hello.rank);
    if (!whole || hello.magic != kMagic || rank == 0 || rank >= fds_.size() || fds_[rank] >= 0) {
      close(fd);
      continue;
    }
    SendSmallMessagesAtOnce(fd);
    fds_[rank] = fd;
    missing--;
  }
  close(listener);
}

void Rendezvous::Connect() {
  Addresses address = Resolve(environment_);
  const Deadline deadline = NewDeadline();
  for (;;) {  // rank 0 may not listen yet
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) Fail("socket: %s", strerror(errno));
    int error = connect(fd, address->ai_addr, address->ai_addrlen) ? errno : 0;
    if (error == EINPROGRESS) {
      // One attempt is kept short: a node whose routes are still coming up would otherwise wait for TCP's long retries.
      WaitFor(fd, POLLOUT, std::min(deadline, steady_clock::now() + std::chrono::seconds(2)));
      socklen_t size = sizeof error;
      getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
      sockaddr_storage peer;
      socklen_t peer_size = sizeof peer;
      if (!error && getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_size)) error = ETIMEDOUT;
    }
    if (!error) {
      SendSmallMessagesAtOnce(fd);
      fds_[0] = fd;
      Hello hello{kMagic, static_cast<uint32_t>(environment_.rank)};
      Write(0, &hello, sizeof hello, deadline);
      return;
    }
    close(fd);
    if (steady_clock::now() >= deadline)
      Fail("rank 0 cannot be reached at %s port %s within %lld s: %s", environment_.master_address.c_str(),
           environment_.master_port.c_str(), static_cast<long long>(limit_.count()), strerror(error));
    std::this_thread::sleep_for(kRetry);
  }
}

void Rendezvous::Write(int peer, const void* data, size_t size, Deadline deadline) {
  auto* bytes = static_cast<const char*>(data);
  while (size > 0) {
    ssize_t written = send(FdOf(peer), bytes, size, MSG_NOSIGNAL);
    if (written > 0) {
      bytes += written;
      size -= static_cast<size_t>(written);
    } else if (errno != EAGAIN && errno != EINTR) {
      Fail("rank %d has gone away: %s", peer, strerror(errno));
    } else if (!WaitFor(FdOf(peer), POLLOUT, deadline)) {
      Fail("rank %d does not read within %lld s", peer, static_cast<long long>(limit_.count()));
    }
  }
}

void Rendezvous::Read(int peer, void* data, size_t size, Deadline deadline) {
  auto* bytes = static_cast<char*>(data);
  while (size > 0) {
    ssize_t got = recv(FdOf(peer), bytes, size, 0);
    if (got > 0) {
      bytes += got;
      size -= static_cast<size_t>(got);
    } else if (got == 0) {
      Fail("rank %d has gone away", peer);
    } else if (errno != EAGAIN && errno != EINTR) {
      Fail("rank %d has gone away: %s", peer, strerror(errno));
    } else if (!WaitFor(FdOf(peer), POLLIN, deadline)) {
      Fail("rank %d has not arrived within %lld s", peer, static_cast<long long>(limit_.count()));
    }
  }
}

void Rendezvous::Broadcast(void* data, size_t size) {
  const Deadline deadline = NewDeadline();
  if (environment_.rank > 0) return Read(0, data, size, deadline);
  for (int peer = 1; peer < environment_.ranks; peer++) Write(peer, data, size, deadline);
}

void Rendezvous::Barrier() {
  const Deadline deadline = NewDeadline();
  char token = 0;
  if (environment_.rank > 0) Write(0, &token, 1, deadline);
  for (int peer = 1; environment_.rank == 0 && peer < environment_.ranks; peer++) Read(peer, &token, 1, deadline);
  Broadcast(&token, 1);
}

void Rendezvous::GatherBytes(const void* own, void* all, size_t size) {
  const Deadline deadline = NewDeadline();
  if (environment_.rank > 0) return Write(0, own, size, deadline);
  for (int peer = 1; peer < environment_.ranks; peer++)
    Read(peer, static_cast<char*>(all) + static_cast<size_t>(peer) * size, size, deadline);
}

}  // namespace perf
