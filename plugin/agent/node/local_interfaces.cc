#include "agent/node/local_interfaces.h"

#include <ifaddrs.h>

#include <algorithm>

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

}  // namespace relay::agent
