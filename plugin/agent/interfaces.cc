#include "agent/interfaces.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/fd.h"

namespace relay::agent {

Result<std::vector<fabric::LocalInterface>> ReadInterfaces() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return FailErrno(ErrorCode::kSystem, "cannot list this node's interfaces");
  std::vector<fabric::LocalInterface> out;
  for (const ifaddrs* i = list; i != nullptr; i = i->ifa_next) {
    auto known =
        std::find_if(out.begin(), out.end(), [&](const auto& known_one) { return known_one.name == i->ifa_name; });
    if (known == out.end()) known = out.insert(out.end(), {i->ifa_name, {}});
    if (i->ifa_addr == nullptr) continue;
    SocketAddress address = SocketAddress::From(i->ifa_addr);
    if (!address.empty()) known->addresses.push_back(address);
  }
  freeifaddrs(list);
  return out;
}

uint32_t SpeedOf(const std::string& interface) {
  Fd fd(open(("/sys/class/net/" + interface + "/speed").c_str(), O_RDONLY | O_CLOEXEC));
  char text[32] = "";
  if (!fd || read(fd.get(), text, sizeof text - 1) <= 0) return 0;
  long mbit = strtol(text, nullptr, 10);
  return mbit > 0 && mbit < INT32_MAX ? static_cast<uint32_t>(mbit) : 0;
}

}  // namespace relay::agent
