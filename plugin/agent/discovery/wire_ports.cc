#include "agent/discovery/wire_ports.h"

#include <algorithm>
#include <bit>

#include "base/log.h"

namespace relay::agent {
namespace {

constexpr Duration kOpenAgain = std::chrono::seconds(2);
constexpr int kDatagramsPerTurn = 64;
constexpr size_t kMostSources = 4;
constexpr int kFullTtl = 255;

bool HasFamily(const Interface& interface, int family) {
  return std::any_of(interface.addresses.begin(), interface.addresses.end(),
                     [&](const SocketAddress& address) { return address.family() == family; });
}

// The one to send from and to be answered at: link-local before others.
SocketAddress OwnAddress(const Interface& interface, int family) {
  SocketAddress out;
  for (const SocketAddress& address : interface.addresses) {
    if (address.family() != family) continue;
    if (address.IsLinkLocal()) return address;
    if (out.empty()) out = address;
  }
  return out;
}

int CommonBits(const SocketAddress& a, const SocketAddress& b) {
  const auto x = a.HostBytes(), y = b.HostBytes();
  int bits = 0;
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    const auto different = std::to_integer<uint8_t>(x[i] ^ y[i]);
    bits += std::countl_zero(different);
    if (different != 0) break;
  }
  return bits;
}

// The one at which that neighbour is answered. Not the kernel's word: where two ports share a subnet it may name the
// other one's.
SocketAddress AddressTowards(const Interface& interface, const SocketAddress& neighbour) {
  if (neighbour.family() == AF_INET6) return OwnAddress(interface, AF_INET6);
  SocketAddress out;
  for (const SocketAddress& address : interface.addresses) {
    if (address.family() != AF_INET) continue;
    if (out.empty() || CommonBits(address, neighbour) > CommonBits(out, neighbour)) out = address;
  }
  return out;
}

bool SameAddresses(const Interface& a, const Interface& b) {
  return std::equal(a.addresses.begin(), a.addresses.end(), b.addresses.begin(), b.addresses.end(),
                    [](const SocketAddress& x, const SocketAddress& y) { return x.SameHost(y); });
}

}  // namespace

WirePorts::WirePorts(EventLoop& loop, uint16_t port, Hooks hooks, HelloCounts& counts)
    : loop_(loop), port_(port), hooks_(std::move(hooks)), counts_(counts), buffer_(kMaxHelloBytes) {}

WirePorts::~WirePorts() {
  for (auto& [name, port] : ports_) Close(port);
  loop_.Cancel(retry_timer_);
}

void WirePorts::Close(Port& port) {
  for (auto& [family, socket] : port.sockets) loop_.Forget(socket.fd());
  port.sockets.clear();
}

std::vector<std::string> WirePorts::CloseAllBut(std::span<const Interface> chosen) {
  std::vector<std::string> closed;
  for (auto it = ports_.begin(); it != ports_.end();) {
    const bool stays = std::any_of(chosen.begin(), chosen.end(), [&](const Interface& interface) {
      return interface.name == it->first && interface.index == it->second.interface.index;
    });
    if (stays) {
      ++it;
      continue;
    }
    Close(it->second);
    closed.push_back(it->first);
    it = ports_.erase(it);
  }
  return closed;
}

void WirePorts::Open(std::span<const Interface> chosen) {
  hooks_.share(true);
  for (const Interface& interface : chosen) OpenPort(interface);
  hooks_.share(false);
}

void WirePorts::OpenPort(const Interface& interface) {
  auto [it, fresh] = ports_.try_emplace(interface.name);
  Port& port = it->second;
  bool announce = fresh || !SameAddresses(port.interface, interface) || port.interface.mtu != interface.mtu;
  port.interface = interface;
  const std::string known_trouble = std::exchange(port.trouble, "");
  for (int family : {AF_INET6, AF_INET}) {
    auto socket = port.sockets.find(family);
    if (!HasFamily(interface, family)) {
      if (socket == port.sockets.end()) continue;
      loop_.Forget(socket->second.fd());
      port.sockets.erase(socket);
    } else if (socket == port.sockets.end() && OpenFamily(port, family)) {
      announce = true;
    }
  }
  if (!port.trouble.empty()) RetryLater();
  if (!port.trouble.empty() && port.trouble != known_trouble) RELAY_WARN("%s", port.trouble.c_str());
  if (announce) hooks_.up(interface.name, OwnAddress(interface, AF_INET6).IsLinkLocal(), interface.mtu);
}

bool WirePorts::OpenFamily(Port& port, int family) {
  const Interface& interface = port.interface;
  auto socket = HelloSocket::OpenWire(interface.name, static_cast<unsigned>(interface.index), family, port_);
  Status watched;
  if (socket) {
    watched = loop_.Watch(socket->fd(), EPOLLIN,
                          [this, name = interface.name, family](uint32_t) { OnReadable(name, family); });
  }
  if (!socket || !watched) {
    port.trouble = socket ? watched.error().what : socket.error().what;
    return false;
  }
  port.sockets.emplace(family, std::move(*socket));
  return true;
}

void WirePorts::RetryLater() {
  if (retry_timer_ != 0) return;
  retry_timer_ = loop_.After(kOpenAgain, [this] {
    retry_timer_ = 0;
    std::vector<Interface> again;
    for (const auto& [name, port] : ports_) {
      if (!port.trouble.empty()) again.push_back(port.interface);
    }
    Open(again);
  });
}

void WirePorts::Send(const std::string& name, std::span<const std::byte> bytes) {
  auto known = ports_.find(name);
  if (known == ports_.end()) return;
  Port& port = known->second;
  auto send = [&](int family, const SocketAddress& from) {
    auto socket = port.sockets.find(family);
    if (socket == port.sockets.end()) return;
    const Status sent = socket->second.Send(bytes, HelloGroup(family).WithPort(port_), from, kFullTtl);
    ++(sent ? counts_.sent : counts_.send_failed);
  };
  send(AF_INET6, OwnAddress(port.interface, AF_INET6));
  size_t sources = 0;
  for (const SocketAddress& address : port.interface.addresses) {
    if (address.family() == AF_INET && ++sources <= kMostSources) send(AF_INET, address);
  }
}

void WirePorts::SendPadded(const std::string& name, uint32_t packet, const MakeDatagram& make) {
  auto known = ports_.find(name);
  if (known == ports_.end()) return;
  Port& port = known->second;
  for (int family : {AF_INET6, AF_INET}) {
    auto socket = port.sockets.find(family);
    const SocketAddress from = OwnAddress(port.interface, family);
    if (socket == port.sockets.end() || from.empty()) continue;
    const Status sent =
        socket->second.Send(make(packet - HeaderBytes(family)), HelloGroup(family).WithPort(port_), from, kFullTtl);
    ++(sent ? counts_.sent : counts_.send_failed);
    return;
  }
}

void WirePorts::OnReadable(const std::string& name, int family) {
  for (int i = 0; i < kDatagramsPerTurn; ++i) {
    // Looked up each time: what a hello leads to may close the port.
    auto port = ports_.find(name);
    if (port == ports_.end()) return;
    auto socket = port->second.sockets.find(family);
    if (socket == port->second.sockets.end()) return;
    auto datagram = socket->second.Receive(buffer_);
    if (!datagram) return;
    const SocketAddress to = AddressTowards(port->second.interface, datagram->from);
    HelloArrival arrival{name, datagram->from, to, datagram->ttl, name};
    hooks_.arrived(arrival, datagram->bytes);
  }
}

std::string WirePorts::Trouble(const std::string& name) const {
  auto port = ports_.find(name);
  return port == ports_.end() ? "" : port->second.trouble;
}

}  // namespace relay::agent
