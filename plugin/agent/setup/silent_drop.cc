#include "agent/setup/silent_drop.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/fd.h"

namespace relay::agent {
namespace {

const fabric::Port& PortOf(const fabric::Fabric& fabric, const fabric::LinkEnd& end) {
  return fabric.nodes[end.node].ports[end.port];
}

// rp_filter of an interface is the larger of its own and that of all.
bool FiltersStrictly(const std::string& interface) {
  long filter = 0;
  for (const std::string& scope : {std::string("all"), interface}) {
    const Fd fd(open(("/proc/sys/net/ipv4/conf/" + scope + "/rp_filter").c_str(), O_RDONLY | O_CLOEXEC));
    char text[16] = "";
    if (fd && read(fd.get(), text, sizeof text - 1) > 0) filter = std::max(filter, strtol(text, nullptr, 10));
  }
  return filter == 1;
}

uint32_t Bits(const sockaddr* address) { return reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr; }

// Another interface in whose subnet this address lies; empty when there is none.
std::string OtherInterfaceTowards(const SocketAddress& address, const std::string& interface) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return "";
  std::string other;
  for (const ifaddrs* i = list; i != nullptr && other.empty(); i = i->ifa_next) {
    if (i->ifa_addr == nullptr || i->ifa_netmask == nullptr || i->ifa_addr->sa_family != AF_INET) continue;
    const uint32_t mask = Bits(i->ifa_netmask);
    const bool inside = mask != 0 && ((Bits(i->ifa_addr) ^ Bits(address.get())) & mask) == 0;
    if (inside && interface != i->ifa_name) other = i->ifa_name;
  }
  freeifaddrs(list);
  return other;
}

}  // namespace

std::string SourceAlsoThere(const fabric::Fabric& fabric, const LinkEnds& ends) {
  for (const auto& [own, other] : {std::pair(ends.near, ends.far), std::pair(ends.far, ends.near)}) {
    for (const SocketAddress& address : PortOf(fabric, own).addresses) {
      if (address.family() != AF_INET) continue;
      for (const fabric::Port& port : fabric.nodes[other.node].ports) {
        const bool same = std::any_of(port.addresses.begin(), port.addresses.end(),
                                      [&](const SocketAddress& candidate) { return candidate.SameHost(address); });
        if (!same) continue;
        const std::string& name = fabric.nodes[other.node].name;
        return name + " has " + address.HostText() + " too, on " + port.name +
               ", and its kernel drops what comes from its own address: give " + fabric.nodes[own.node].name + "/" +
               PortOf(fabric, own).name + " another one";
      }
    }
  }
  return "";
}

std::string FilteredHere(const LocalNode& node, const LinkEnds& ends) {
  const std::string& interface = node.interfaces[ends.near.port];
  if (!FiltersStrictly(interface)) return "";
  for (const SocketAddress& address : PortOf(node.fabric, ends.far).addresses) {
    if (address.family() != AF_INET) continue;
    const std::string other = OtherInterfaceTowards(address, interface);
    if (other.empty()) continue;
    return "the kernel of " + node.name() + " may drop what comes from " + address.HostText() + " on " + interface +
           ", because " + other + " is in the same subnet (rp_filter=1): set net.ipv4.conf." + interface +
           ".rp_filter=2 there and at the other end, or give each cable a subnet of its own";
  }
  return "";
}

}  // namespace relay::agent
