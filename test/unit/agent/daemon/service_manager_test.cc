#include "agent/daemon/service_manager.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <string>

#include "base/fd.h"

namespace relay::agent {
namespace {

std::string Received(int fd) {
  char text[256];
  const ssize_t n = recv(fd, text, sizeof text, MSG_DONTWAIT);
  return n < 0 ? "nothing" : std::string(text, static_cast<size_t>(n));
}

TEST(ServiceManager, HearsOnTheSocketThatItNamed) {
  const std::string name = "nccl-relay-notify-" + std::to_string(getpid());
  const Fd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path + 1, name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);
  TellServiceManager("READY=1\nSTATUS=node A");
  EXPECT_EQ(Received(fd.get()), "READY=1\nSTATUS=node A");
  TellServiceManager("RELOADING=1");
  EXPECT_EQ(Received(fd.get()).rfind("RELOADING=1\nMONOTONIC_USEC=", 0), 0u);
  for (const char* wrong : {"", "relative", "/"}) {
    setenv("NOTIFY_SOCKET", wrong, 1);
    TellServiceManager("READY=1");
  }
  unsetenv("NOTIFY_SOCKET");
  TellServiceManager("READY=1");
  EXPECT_EQ(Received(fd.get()), "nothing");
}

}  // namespace
}  // namespace relay::agent
