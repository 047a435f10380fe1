#include "perf/rendezvous.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <thread>

#include "base/codec.h"

namespace relay::perf {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr uint32_t kMagic = 0x66726570;  // tells our ranks from strangers on the port
constexpr milliseconds kRetry(20), kGreeting(1000), kParting(1000);
constexpr size_t kHeaderBytes = 8, kHelloBytes = 12, kSentenceBytes = 2048;

// False: the deadline passed.
bool WaitFor(int fd, short events, steady_clock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now()).count();
    pollfd entry{fd, events, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::clamp<int64_t>(left, 0, 1000000)));
    if (ready > 0) return true;
    if (ready == 0 && left <= 0) return false;
  }
}

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Result<Addresses> Resolve(const World& world) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(world.master_address.c_str(), world.master_port.c_str(), &hints, &list);
  if (error != 0) {
    return Fail(ErrorCode::kUsage, fmt::format("MASTER_ADDR={} MASTER_PORT={}: {}", world.master_address,
                                               world.master_port, ::gai_strerror(error)));
  }
  return Addresses(list, ::freeaddrinfo);
}

bool IsLoopback(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    return ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr) >> 24 == 127;
  }
  return address.sa_family == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
}

// A host's own name is often 127.0.1.1 to itself and another address to everybody else.
bool NamesAnotherAddressElsewhere(const std::string& name, const sockaddr& address) {
  in_addr v4;
  in6_addr v6;
  const bool literal = inet_pton(AF_INET, name.c_str(), &v4) == 1 || inet_pton(AF_INET6, name.c_str(), &v6) == 1;
  return !literal && name != "localhost" && IsLoopback(address);
}

// MASTER_ADDR may be how others reach this node rather than an address that it has: then any address will do.
bool Bind(int fd, const addrinfo& address, const std::string& name) {
  if (NamesAnotherAddressElsewhere(name, *address.ai_addr)) {
    std::fprintf(stderr,
                 "nccl-relay perf: MASTER_ADDR=%s is an address of the loopback on this node: rank 0 listens on all "
                 "addresses, and other nodes must know another one by that name\n",
                 name.c_str());
  } else {
    if (::bind(fd, address.ai_addr, address.ai_addrlen) == 0) return true;
    if (errno != EADDRNOTAVAIL) return false;
  }
  sockaddr_storage any{};
  std::memcpy(&any, address.ai_addr, address.ai_addrlen);
  if (address.ai_family == AF_INET) reinterpret_cast<sockaddr_in&>(any).sin_addr.s_addr = INADDR_ANY;
  if (address.ai_family == AF_INET6) reinterpret_cast<sockaddr_in6&>(any).sin6_addr = in6addr_any;
  return ::bind(fd, reinterpret_cast<sockaddr*>(&any), address.ai_addrlen) == 0;
}

void SendAtOnce(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

Result<std::unique_ptr<Rendezvous>> Rendezvous::Join(const World& world, milliseconds limit) {
  std::unique_ptr<Rendezvous> out(new Rendezvous(world, limit));
  out->fds_.resize(static_cast<size_t>(world.ranks));
  const auto deadline = steady_clock::now() + limit;
  if (world.ranks > 1) RELAY_TRY(world.rank == 0 ? out->Listen(deadline) : out->Connect(deadline));
  return out;
}

// Closing with bytes unread would reset the connection, and with it what was said last.
Rendezvous::~Rendezvous() {
  const auto deadline = steady_clock::now() + kParting;
  for (const Fd& fd : fds_) {
    if (!gave_up_ || !fd) continue;
    ::shutdown(fd.get(), SHUT_WR);
    char rest[4096];
    while (WaitFor(fd.get(), POLLIN, deadline) && ::recv(fd.get(), rest, sizeof rest, 0) > 0) {
    }
  }
}

Status Rendezvous::Listen(TimePoint deadline) {
  auto addresses = Resolve(world_);
  RELAY_TRY(addresses);
  const addrinfo& address = **addresses;
  Fd listener(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (!listener || !Bind(listener.get(), address, world_.master_address) ||
      ::listen(listener.get(), world_.ranks) != 0) {
    return FailErrno(ErrorCode::kUsage, fmt::format("rank 0 cannot listen at MASTER_ADDR={} MASTER_PORT={}",
                                                    world_.master_address, world_.master_port));
  }
  auto missing = [&] { return std::count_if(fds_.begin() + 1, fds_.end(), [](const Fd& fd) { return !fd; }); };
  while (missing() > 0) {
    if (!WaitFor(listener.get(), POLLIN, deadline)) {
      return Fail(ErrorCode::kRemote,
                  fmt::format("{} of {} ranks have not come within {} ms", missing(), world_.ranks, limit_.count()));
    }
    Fd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd) RELAY_TRY(Greet(std::move(fd)));
  }
  return {};
}

// A stranger on the port is sent away; a rank that comes twice is an error of the launcher.
Status Rendezvous::Greet(Fd fd) {
  std::byte hello[kHelloBytes];
  const auto deadline = steady_clock::now() + kGreeting;
  for (size_t got = 0; got < sizeof hello;) {
    if (!WaitFor(fd.get(), POLLIN, deadline)) return {};
    const ssize_t n = ::recv(fd.get(), hello + got, sizeof hello - got, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return {};
    if (n > 0) got += static_cast<size_t>(n);
  }
  ByteReader reader(hello);
  const auto magic = reader.Get<uint32_t>(), rank = reader.Get<uint32_t>(), ranks = reader.Get<uint32_t>();
  if (magic != kMagic) return {};
  if (ranks != fds_.size() || rank == 0 || rank >= ranks || fds_[rank]) {
    return Fail(ErrorCode::kUsage, fmt::format("RANK {} of WORLD_SIZE {} came to rank 0, which has WORLD_SIZE {}{}",
                                               rank, ranks, fds_.size(), ranks == fds_.size() ? ", twice" : ""));
  }
  SendAtOnce(fd.get());
  fds_[rank] = std::move(fd);
  return {};
}

Status Rendezvous::Connect(TimePoint deadline) {
  while (true) {
    auto addresses = Resolve(world_);
    RELAY_TRY(addresses);
    const addrinfo& address = **addresses;
    Fd fd(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return FailErrno(ErrorCode::kSystem, "socket");
    int error = ::connect(fd.get(), address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      socklen_t size = sizeof error;
      const bool answered = WaitFor(fd.get(), POLLOUT, deadline);
      ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (!answered) error = ETIMEDOUT;
    }
    if (error == 0) {
      SendAtOnce(fd.get());
      ByteWriter hello;
      for (uint32_t word : {kMagic, static_cast<uint32_t>(world_.rank), static_cast<uint32_t>(world_.ranks)}) {
        hello.Put(word);
      }
      // The first bytes of a connection fit into its buffer.
      if (::send(fd.get(), hello.bytes().data(), kHelloBytes, MSG_NOSIGNAL) != kHelloBytes) return Gone(0);
      fds_[0] = std::move(fd);
      return {};
    }
    if (steady_clock::now() >= deadline) {
      return FailErrno(ErrorCode::kRemote,
                       fmt::format("rank 0 cannot be reached at MASTER_ADDR={} MASTER_PORT={} within {} ms",
                                   world_.master_address, world_.master_port, limit_.count()),
                       error);
    }
    std::this_thread::sleep_for(kRetry);
  }
}

tl::unexpected<Error> Rendezvous::Gone(int peer) {
  const std::string sentence = fmt::format("rank {} has gone away", peer);
  if (world_.rank == 0) GiveUp(sentence);
  return Fail(ErrorCode::kRemote, sentence);
}

Status Rendezvous::Write(int peer, Kind kind, std::span<const std::byte> bytes) {
  ByteWriter frame;
  frame.Put(static_cast<uint32_t>(kind));
  frame.Put(static_cast<uint32_t>(bytes.size()));
  frame.PutBytes(bytes);
  const auto deadline = steady_clock::now() + limit_;
  const int fd = fds_[static_cast<size_t>(peer)].get();
  for (std::span<const std::byte> rest = frame.bytes(); !rest.empty();) {
    const ssize_t written = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (written > 0) {
      rest = rest.subspan(static_cast<size_t>(written));
    } else if (errno != EAGAIN && errno != EINTR) {
      return Gone(peer);
    } else if (!WaitFor(fd, POLLOUT, deadline)) {
      return Fail(ErrorCode::kRemote, fmt::format("rank {} does not read within {} ms", peer, limit_.count()));
    }
  }
  return {};
}

tl::unexpected<Error> Rendezvous::Silent(int peer) const {
  return Fail(ErrorCode::kRemote, fmt::format("rank {} has said nothing for {} ms", peer, limit_.count()));
}

Status Rendezvous::ReadBytes(int peer, std::span<std::byte> out) {
  const int fd = fds_[static_cast<size_t>(peer)].get();
  const auto deadline = steady_clock::now() + limit_;
  while (!out.empty()) {
    const ssize_t got = ::recv(fd, out.data(), out.size(), 0);
    if (got > 0) {
      out = out.subspan(static_cast<size_t>(got));
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
      return Gone(peer);
    } else if (!WaitFor(fd, POLLIN, deadline)) {
      return Silent(peer);
    }
  }
  return {};
}

Result<std::optional<Rendezvous::Bytes>> Rendezvous::Read(int peer, size_t most) {
  std::byte header[kHeaderBytes];
  RELAY_TRY(ReadBytes(peer, header));
  ByteReader reader(header);
  const auto kind = static_cast<Kind>(reader.Get<uint32_t>());
  const size_t size = reader.Get<uint32_t>();
  const size_t allowed = kind == Kind::kBytes ? most : kind == Kind::kFailure ? kSentenceBytes : 0;
  if (size > allowed) {
    return Fail(ErrorCode::kRemote, fmt::format("rank {} sent {} bytes, which is not of this protocol", peer, size));
  }
  Bytes bytes(size);
  RELAY_TRY(ReadBytes(peer, bytes));
  if (kind == Kind::kAlive) return std::nullopt;
  if (kind == Kind::kBytes) return bytes;
  std::string sentence(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (world_.rank == 0) GiveUp(sentence);
  return Fail(ErrorCode::kRemote, sentence);
}

Result<std::vector<Rendezvous::Bytes>> Rendezvous::Exchange(std::span<const std::byte> own) {
  if (own.size() > kMostBytes) return Fail(ErrorCode::kUsage, "too many ranks and channels for one exchange");
  return world_.rank == 0 ? CollectAndSpread(own) : SendAndReceive(own);
}

// In whatever order they come: whoever fails is heard at once.
Result<std::vector<Rendezvous::Bytes>> Rendezvous::CollectAndSpread(std::span<const std::byte> own) {
  std::vector<Bytes> all(fds_.size());
  all[0].assign(own.begin(), own.end());
  std::vector<pollfd> waiting;
  for (size_t peer = 1; peer < fds_.size(); ++peer) waiting.push_back({fds_[peer].get(), POLLIN, 0});
  signs_.Await(waiting.size(), steady_clock::now());
  for (size_t missing = waiting.size(); missing > 0;) {
    SaySignOfLife();
    ::poll(waiting.data(), waiting.size(), static_cast<int>(signs_.interval().count()));
    for (size_t i = 0; i < waiting.size(); ++i) {
      if (waiting[i].fd < 0) continue;
      const int peer = static_cast<int>(i) + 1;
      if (waiting[i].revents == 0 && signs_.Silent(i, steady_clock::now())) return Silent(peer);
      if (waiting[i].revents == 0) continue;
      auto bytes = Read(peer, kMostBytes);
      RELAY_TRY(bytes);
      signs_.Heard(i, steady_clock::now());
      if (!*bytes) continue;
      all[i + 1] = std::move(**bytes);
      waiting[i].fd = -1;  // poll() skips it
      --missing;
    }
  }
  ByteWriter spread;
  for (const Bytes& bytes : all) {
    spread.Put(static_cast<uint32_t>(bytes.size()));
    spread.PutBytes(bytes);
  }
  for (int peer = 1; peer < world_.ranks; ++peer) RELAY_TRY(Write(peer, Kind::kBytes, spread.bytes()));
  return all;
}

Result<std::vector<Rendezvous::Bytes>> Rendezvous::SendAndReceive(std::span<const std::byte> own) {
  RELAY_TRY(Write(0, Kind::kBytes, own));
  Result<std::optional<Bytes>> spread = std::nullopt;
  while (spread && !*spread) spread = Read(0, fds_.size() * (kMostBytes + 4));
  RELAY_TRY(spread);
  ByteReader reader(**spread);
  std::vector<Bytes> all;
  for (size_t i = 0; i < fds_.size(); ++i) {
    const auto bytes = reader.GetBytes(reader.Get<uint32_t>());
    all.emplace_back(bytes.begin(), bytes.end());
  }
  if (!reader.AtEnd()) return Fail(ErrorCode::kRemote, "rank 0 sent what is not of this protocol");
  return all;
}

Status Rendezvous::Barrier() {
  auto all = Exchange({});
  return all ? Status{} : tl::unexpected(std::move(all).error());
}

Status Rendezvous::Watch() {
  SaySignOfLife();
  for (size_t peer = 0; peer < fds_.size(); ++peer) {
    while (fds_[peer]) {
      std::byte header[kHeaderBytes];
      const ssize_t got = ::recv(fds_[peer].get(), header, sizeof header, MSG_PEEK | MSG_DONTWAIT);
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return Gone(static_cast<int>(peer));
      if (got < static_cast<ssize_t>(sizeof header)) break;
      // What a faster rank sends for the next exchange waits for it.
      if (GetLe<uint32_t>(header) == static_cast<uint32_t>(Kind::kBytes)) break;
      auto frame = Read(static_cast<int>(peer), 0);
      RELAY_TRY(frame);
    }
  }
  return {};
}

void Rendezvous::SaySignOfLife() {
  if (signs_.Due(steady_clock::now())) TellAll(Kind::kAlive, {});
}

void Rendezvous::GiveUp(const std::string& sentence) {
  gave_up_ = true;
  TellAll(Kind::kFailure, std::as_bytes(std::span(sentence)).first(std::min(sentence.size(), kSentenceBytes)));
}

// Whoever does not take it at once has enough to read, or learns by the end of the connection.
void Rendezvous::TellAll(Kind kind, std::span<const std::byte> bytes) {
  ByteWriter frame;
  frame.Put(static_cast<uint32_t>(kind));
  frame.Put(static_cast<uint32_t>(bytes.size()));
  frame.PutBytes(bytes);
  for (const Fd& fd : fds_) {
    if (fd) (void)!::send(fd.get(), frame.bytes().data(), frame.bytes().size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

}  // namespace relay::perf
