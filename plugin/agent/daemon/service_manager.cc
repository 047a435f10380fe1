#include "agent/daemon/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include <cstddef>
#include <cstdlib>

#include "base/fd.h"

namespace relay::agent {

void TellServiceManager(std::string state) {
  const char* name = getenv("NOTIFY_SOCKET");
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  const std::string path = name == nullptr ? "" : name;
  if (path.size() < 2 || path.size() >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@')) return;
  path.copy(to.sun_path, path.size());
  if (path[0] == '@') to.sun_path[0] = '\0';
  if (state.rfind("RELOADING=1", 0) == 0) {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    state += "\nMONOTONIC_USEC=" + std::to_string(int64_t{now.tv_sec} * 1000000 + now.tv_nsec / 1000);
  }
  const Fd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  // Whoever stopped listening does not want to know.
  (void)sendto(fd.get(), state.data(), state.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&to), size);
}

}  // namespace relay::agent
