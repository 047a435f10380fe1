#include "agent/discovery/node_discovery.h"

#include <algorithm>

#include "base/log.h"
#include "fabric/record.h"

namespace relay::agent {
namespace {

fabric::Port PortOf(const Interface& interface, bool last_resort) {
  fabric::Port port;
  port.name = interface.name;
  port.addresses = interface.addresses;
  if (port.addresses.size() > fabric::kMaxPortAddresses) port.addresses.resize(fabric::kMaxPortAddresses);
  port.speed_mbit = interface.speed_mbit;
  port.last_resort = last_resort;
  return port;
}

bool SamePort(const fabric::Port& a, const fabric::Port& b) {
  return a.name == b.name && a.speed_mbit == b.speed_mbit && a.last_resort == b.last_resort && a.kind == b.kind &&
         std::equal(a.addresses.begin(), a.addresses.end(), b.addresses.begin(), b.addresses.end(),
                    [](const SocketAddress& x, const SocketAddress& y) { return x.SameHost(y); });
}

std::string PortText(const fabric::Port& port) {
  return port.name + (port.speed_mbit == 0 ? "" : " (" + std::to_string(port.speed_mbit) + " Mbit/s)");
}

HelloGate::Hooks GateHooks(const Discovery::Hooks& hooks) {
  return {hooks.seal, hooks.verify, [](const std::string& sentence) { RELAY_WARN("%s", sentence.c_str()); }};
}

}  // namespace

NodeDiscovery::NodeDiscovery(EventLoop& loop, DiscoveryOptions options, Hooks hooks)
    : loop_(loop),
      options_(std::move(options)),
      hooks_(std::move(hooks)),
      gate_(options_.node, options_.incarnation, GateHooks(hooks_), counts_),
      wires_({options_.node, options_.incarnation, options_.name, options_.port},
             {[this](const std::string& port, const Hello& hello) { SendOnWire(port, hello); },
              [this](const std::string& port, const Hello& hello, uint32_t packet) { SendPadded(port, hello, packet); },
              [this](const Adjacent& adjacent) { OnFound(adjacent); },
              [this](const Adjacent& adjacent, const Loss& loss) { OnLost(adjacent, loss); }},
             counts_),
      wire_ports_(
          loop, options_.port,
          {[this](const HelloArrival& arrival, std::span<const std::byte> bytes) { OnWireHello(arrival, bytes); },
           [this](const std::string& port, bool link_local, uint32_t mtu) {
             wires_.PortUp(port, {link_local, mtu}, loop_.clock().Now());
           },
           [this](bool shared) { unicast_.Share(shared); }},
          counts_),
      routed_({options_.node, options_.incarnation, options_.name, options_.port}, RoutedHooks(), counts_),
      unicast_(
          loop,
          {[this](const HelloArrival& arrival, std::span<const std::byte> bytes) { OnUnicastHello(arrival, bytes); },
           [this](const HelloSocket::Notice& notice) {
             routed_.RouterSeen(notice.destination, notice.router, loop_.clock().Now());
           }},
          counts_),
      listed_(loop, [this](const std::vector<SocketAddress>& addresses) {
        routed_.SetListed(addresses, loop_.clock().Now());
        Settle();
      }) {}

NodeDiscovery::~NodeDiscovery() { loop_.Cancel(timer_); }

RoutedAdjacencies::Hooks NodeDiscovery::RoutedHooks() {
  return {
      [this](const SocketAddress& to, const SocketAddress& from, const Hello& hello) { SendUnicast(to, from, hello); },
      [this](const SocketAddress& to) { return routes_->To(to); },
      hooks_.is_own_fabric,
      [this](const std::string& port, NodeId node) {
        return port.empty() ? wires_.IsAdjacent(node) : wires_.IsAdjacent(port, node);
      },
      [this] { return gate_.open(); },
      [this](const Adjacent& adjacent) { OnFound(adjacent); },
      [this](const Adjacent& adjacent, const Loss& loss) { OnLost(adjacent, loss); },
      [this](const std::string& kind, const std::string& sentence, TimePoint now) { gate_.Warn(kind, sentence, now); },
      [this](const std::string& interface) { return choice_.Find(interface) != nullptr; }};
}

Status NodeDiscovery::Begin() {
  auto routes = RouteReader::Open();
  RELAY_TRY(routes);
  routes_.emplace(std::move(*routes));
  RELAY_TRY(unicast_.Open(options_.port));
  auto watch = InterfaceWatch::Start(loop_, [this] { FollowInterfaces(); });
  RELAY_TRY(watch);
  watch_ = std::move(*watch);
  FollowInterfaces();
  listed_.Set(ParsePeers(options_.peers, options_.port));
  return {};
}

std::vector<Interface> NodeDiscovery::Chosen() const {
  std::vector<Interface> out;
  for (const Interface& interface : watch_->interfaces()) {
    if (choice_.Find(interface.name) != nullptr) out.push_back(interface);
  }
  return out;
}

Loss NodeDiscovery::WhyGone(const std::string& port) const {
  const auto refused = choice_.refused.find(port);
  const auto& now = watch_->interfaces();
  const bool up = std::any_of(now.begin(), now.end(), [&](const Interface& i) { return i.name == port && i.up; });
  return {up ? Loss::Cause::kOther : Loss::Cause::kPort,
          port + " " + (refused == choice_.refused.end() ? "is gone" : refused->second)};
}

void NodeDiscovery::FollowInterfaces() {
  if (left_) return;
  choice_ = ChooseInterfaces(watch_->interfaces(), options_.ifname);
  const std::vector<Interface> chosen = Chosen();
  for (const std::string& port : wire_ports_.CloseAllBut(chosen)) wires_.PortDown(port, WhyGone(port));
  routed_.CheckRoutes();
  TellPorts();
  wire_ports_.Open(chosen);
  Settle();
}

void NodeDiscovery::TellPorts() {
  std::vector<fabric::Port> ports;
  std::string text;
  for (const Interface& interface : watch_->interfaces()) {
    const Choice::Chosen* chosen = choice_.Find(interface.name);
    if (chosen == nullptr || ports.size() >= fabric::kMaxPorts) continue;
    ports.push_back(PortOf(interface, chosen->last_resort));
    text += (text.empty() ? "" : ", ") + PortText(ports.back());
  }
  if (ports_told_ && std::equal(ports.begin(), ports.end(), told_ports_.begin(), told_ports_.end(), SamePort)) return;
  ports_told_ = true;
  told_ports_ = ports;
  if (choice_.only_last_resort) {
    RELAY_WARN("no port but those of last resort: %s; plug a cable in, or name interfaces in NCCL_RELAY_IFNAME",
               text.c_str());
  } else {
    RELAY_INFO("ports: %s", text.empty() ? "none" : text.c_str());
  }
  events_.push_back([this, ports] { hooks_.ports(ports); });
}

void NodeDiscovery::OnFound(const Adjacent& adjacent) {
  if (adjacent.routed) {
    RELAY_INFO("%s/%s at %s answers by unicast, over %s: a routed link, of last resort", adjacent.far_name.c_str(),
               adjacent.far.port.c_str(), adjacent.far_address.HostText().c_str(), adjacent.near_port.c_str());
  }
  events_.push_back([this, adjacent] { hooks_.found(adjacent); });
}

void NodeDiscovery::OnLost(const Adjacent& adjacent, const Loss& loss) {
  events_.push_back([this, adjacent, loss] { hooks_.lost(adjacent, loss); });
}

void NodeDiscovery::OnWireHello(const HelloArrival& arrival, std::span<const std::byte> bytes) {
  if (left_) return;
  const TimePoint now = loop_.clock().Now();
  auto hello = gate_.Admit(bytes, arrival, now);
  if (!hello) return;
  wires_.Receive(arrival, *hello, now);
  Settle();
}

void NodeDiscovery::OnUnicastHello(const HelloArrival& arrival, std::span<const std::byte> bytes) {
  if (left_) return;
  const TimePoint now = loop_.clock().Now();
  auto hello = gate_.Admit(bytes, arrival, now);
  if (!hello) return;
  routed_.Receive(arrival, *hello, now);
  Settle();
}

void NodeDiscovery::SendOnWire(const std::string& port, Hello hello) {
  hello.sequence = ++sequence_;
  wire_ports_.Send(port, SealHello(hello, hooks_.seal));
}

void NodeDiscovery::SendPadded(const std::string& port, Hello hello, uint32_t packet) {
  hello.sequence = ++sequence_;
  wire_ports_.SendPadded(port, packet, [&](size_t bytes) {
    hello.bytes = bytes;
    return SealHello(hello, hooks_.seal);
  });
}

void NodeDiscovery::SendUnicast(const SocketAddress& to, const SocketAddress& from, Hello hello) {
  hello.sequence = ++sequence_;
  unicast_.Send(to, from, SealHello(hello, hooks_.seal), hello.ttl);
}

TimePoint NodeDiscovery::TickAll(TimePoint now) {
  if (left_) return TimePoint::max();
  const TimePoint wires = wires_.Tick(now);
  return std::min(wires, routed_.Tick(now));
}

void NodeDiscovery::Settle() {
  if (telling_) return;  // whoever tells goes on until nothing is left
  telling_ = true;
  const TimePoint now = loop_.clock().Now();
  TimePoint next = TickAll(now);
  while (!events_.empty()) {
    const auto events = std::exchange(events_, {});
    for (const auto& event : events) event();
    next = TickAll(now);
  }
  telling_ = false;
  loop_.Cancel(timer_);
  timer_ = 0;
  if (left_) return;
  timer_ = loop_.After(std::max(next - loop_.clock().Now(), Duration::zero()), [this] {
    timer_ = 0;
    Settle();
  });
}

void NodeDiscovery::Probe(NodeId node, const std::vector<SocketAddress>& addresses) {
  if (left_) return;
  routed_.Probe(node, addresses, loop_.clock().Now());
  Settle();
}

void NodeDiscovery::Reconfigure(const std::string& ifname, const std::string& peers) {
  options_.ifname = ifname;
  FollowInterfaces();
  if (std::exchange(options_.peers, peers) != peers) listed_.Set(ParsePeers(peers, options_.port));
}

void NodeDiscovery::Leave() {
  if (left_) return;
  wires_.Leave();
  routed_.Leave(loop_.clock().Now());
  left_ = true;
  Settle();
}

std::vector<SocketAddress> NodeDiscovery::Reachable() const {
  std::vector<SocketAddress> out;
  for (const Interface& interface : watch_->interfaces()) {
    if (choice_.Find(interface.name) == nullptr) continue;
    for (const SocketAddress& address : interface.addresses) {
      if (!address.IsLinkLocal()) out.push_back(address.WithPort(options_.port));
    }
  }
  return out;
}

}  // namespace relay::agent
