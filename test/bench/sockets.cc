#include "sockets.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/socket_address.h"
#include "transport/tcp/socket_options.h"

namespace bench {
namespace {

constexpr int kTries = 3000;
constexpr useconds_t kPauseUs = 10000;

relay::Fd MakeSocket() {
  relay::Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || !relay::transport::tcp::PrepareSocket(fd.get(), {})) Die("socket");
  return fd;
}

}  // namespace

void Die(const char* what) {
  perror(what);
  exit(1);
}

relay::Fd AcceptOne(uint16_t port) {
  relay::Fd listener = MakeSocket();
  int one = 1;
  setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  auto address = relay::SocketAddress::Parse("0.0.0.0")->WithPort(port);
  if (bind(listener.get(), address.get(), address.size()) != 0 || listen(listener.get(), 1) != 0) Die("listen");
  relay::Fd fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!fd || !relay::transport::tcp::PrepareSocket(fd.get(), {})) Die("accept");
  return fd;
}

relay::Fd Dial(const char* host, uint16_t port) {
  auto parsed = relay::SocketAddress::Parse(host);
  if (!parsed) Die("not an address");
  auto address = parsed->WithPort(port);
  for (int i = 0; i < kTries; ++i) {
    relay::Fd fd = MakeSocket();
    if (connect(fd.get(), address.get(), address.size()) == 0) return fd;
    usleep(kPauseUs);
  }
  Die("nobody listens");
}

}  // namespace bench
