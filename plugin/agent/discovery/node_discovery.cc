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
              [this](const Adjacent& adjacent) { events_.push_back([this, adjacent] { hooks_.found(adjacent); }); },
              [this](const Adjacent& adjacent, const std::string& why) {
                events_.push_back([this, adjacent, why] { hooks_.lost(adjacent, why); });
              }},
             counts_),
      wire_ports_(
          loop, options_.port,
          {[this](const HelloArrival& arrival, std::span<const std::byte> bytes) { OnWireHello(arrival, bytes); },
           [this](const std::string& port, bool link_local) { wires_.PortUp(port, link_local, loop_.clock().Now()); },
           [](bool) {}},
          counts_) {}

NodeDiscovery::~NodeDiscovery() { loop_.Cancel(timer_); }

void NodeDiscovery::Probe(NodeId, const std::vector<SocketAddress>&) {}

Status NodeDiscovery::Begin() {
  auto watch = InterfaceWatch::Start(loop_, [this] { FollowInterfaces(); });
  RELAY_TRY(watch);
  watch_ = std::move(*watch);
  FollowInterfaces();
  return {};
}

std::vector<Interface> NodeDiscovery::Chosen() const {
  std::vector<Interface> out;
  for (const Interface& interface : watch_->interfaces()) {
    auto is_it = [&](const Choice::Chosen& chosen) { return chosen.name == interface.name; };
    if (std::any_of(choice_.chosen.begin(), choice_.chosen.end(), is_it)) out.push_back(interface);
  }
  return out;
}

std::string NodeDiscovery::WhyGone(const std::string& port) const {
  auto refused = choice_.refused.find(port);
  return port + " " + (refused == choice_.refused.end() ? "is gone" : refused->second);
}

void NodeDiscovery::FollowInterfaces() {
  if (left_) return;
  choice_ = ChooseInterfaces(watch_->interfaces(), options_.ifname);
  const std::vector<Interface> chosen = Chosen();
  for (const std::string& port : wire_ports_.CloseAllBut(chosen)) wires_.PortDown(port, WhyGone(port));
  TellPorts(chosen);
  wire_ports_.Open(chosen);
  Settle();
}

void NodeDiscovery::TellPorts(const std::vector<Interface>& chosen) {
  std::vector<fabric::Port> ports;
  std::string text;
  for (const Interface& interface : chosen) {
    auto is_it = [&](const Choice::Chosen& c) { return c.name == interface.name; };
    const bool last_resort = std::find_if(choice_.chosen.begin(), choice_.chosen.end(), is_it)->last_resort;
    ports.push_back(PortOf(interface, last_resort));
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

void NodeDiscovery::OnWireHello(const HelloArrival& arrival, std::span<const std::byte> bytes) {
  if (left_) return;
  const TimePoint now = loop_.clock().Now();
  auto hello = gate_.Admit(bytes, arrival, now);
  if (!hello) return;
  wires_.Receive(arrival, *hello, now);
  Settle();
}

void NodeDiscovery::SendOnWire(const std::string& port, Hello hello) {
  hello.sequence = ++sequence_;
  wire_ports_.Send(port, SealHello(hello, hooks_.seal));
}

void NodeDiscovery::OnTimer() {
  timer_ = 0;
  Settle();
}

void NodeDiscovery::Settle() {
  if (telling_) return;  // whoever tells goes on until nothing is left
  telling_ = true;
  const TimePoint now = loop_.clock().Now();
  TimePoint next = left_ ? TimePoint::max() : wires_.Tick(now);
  while (!events_.empty()) {
    auto events = std::exchange(events_, {});
    for (const auto& event : events) event();
    if (!left_) next = wires_.Tick(now);
  }
  telling_ = false;
  loop_.Cancel(timer_);
  timer_ = left_ ? 0 : loop_.After(std::max(next - loop_.clock().Now(), Duration::zero()), [this] { OnTimer(); });
}

void NodeDiscovery::Reconfigure(const std::string& ifname, const std::string& peers) {
  options_.ifname = ifname;
  options_.peers = peers;
  FollowInterfaces();
}

void NodeDiscovery::Leave() {
  if (left_) return;
  wires_.Leave();
  left_ = true;
  Settle();
}

std::vector<SocketAddress> NodeDiscovery::Reachable() const {
  std::vector<SocketAddress> of_ports, of_others;
  for (const Interface& interface : watch_->interfaces()) {
    auto is_it = [&](const fabric::Port& port) { return port.name == interface.name; };
    const bool is_port = std::any_of(told_ports_.begin(), told_ports_.end(), is_it);
    if (!is_port && !(interface.default_route && interface.up)) continue;
    for (const SocketAddress& address : interface.addresses) {
      if (!address.IsLinkLocal()) (is_port ? of_ports : of_others).push_back(address.WithPort(options_.port));
    }
  }
  of_ports.insert(of_ports.end(), of_others.begin(), of_others.end());
  return of_ports;
}

}  // namespace relay::agent
