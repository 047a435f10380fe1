// Which interfaces carry data: rules by kind and name, then what remains when nothing is left.
#include <algorithm>
#include <array>
#include <string_view>

#include "agent/discovery/choice.h"
#include "fabric/record.h"

namespace relay::agent {
namespace {

// Made by container runtimes, hypervisors and VPNs: they lead into this host or over somebody else's tunnel.
constexpr std::array<std::string_view, 16> kVirtualPrefixes = {
    "docker", "br-", "virbr", "cni", "flannel", "cilium", "cali", "tailscale",
    "wg",     "zt",  "tun",   "tap", "dummy",   "podman", "lxc",  "vnet"};

// NCCL_SOCKET_IFNAME's syntax: "^" first turns the list into all but, "=" then asks for whole names.
struct NameList {
  bool all_but = false;
  bool exact = false;
  std::vector<std::string> names;

  bool Matches(const std::string& interface) const {
    return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      return exact ? interface == name : interface.compare(0, name.size(), name) == 0;
    });
  }
  bool Allows(const Interface& interface) const {
    // All but some never means the loopback: it reaches nobody.
    if (all_but) return !interface.loopback && !Matches(interface.name);
    return Matches(interface.name);
  }
};

NameList ParseNames(std::string_view text) {
  NameList out;
  auto skip = [&](char c) {
    const bool there = !text.empty() && text.front() == c;
    if (there) text.remove_prefix(1);
    return there;
  };
  out.all_but = skip('^');
  out.exact = skip('=');
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    std::string_view name = text.substr(0, comma);
    name = name.substr(0, name.find(':'));  // NCCL allows a port number there, which means nothing here
    if (!name.empty()) out.names.emplace_back(name);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

std::string_view VirtualPrefix(const std::string& name) {
  auto is_prefix = [&](std::string_view prefix) { return name.compare(0, prefix.size(), prefix) == 0; };
  auto found = std::find_if(kVirtualPrefixes.begin(), kVirtualPrefixes.end(), is_prefix);
  return found == kVirtualPrefixes.end() ? std::string_view() : *found;
}

// Devices of the kernel's that lead over somebody else's network, as it calls them (rtnl_link_ops of drivers/net,
// net/ipv4, net/ipv6 and net/xfrm of Linux 6.12).
constexpr std::array<std::string_view, 24> kTunnels = {
    "vxlan", "geneve", "gre",     "gretap", "ip6gre", "ip6gretap", "erspan", "ip6erspan",
    "ipip",  "sit",    "ip6tnl",  "vti",    "vti6",   "xfrm",      "ipsec",  "wireguard",
    "tun",   "ppp",    "bareudp", "gtp",    "amt",    "fou",       "l2tp",   "ovpn"};
// Those that lead nowhere.
constexpr std::array<std::string_view, 4> kDeadEnds = {"dummy", "ifb", "nlmon", "vcan"};

std::string VirtualKind(const Interface& interface) {
  const auto is = [&](const auto& kinds) {
    return std::find(kinds.begin(), kinds.end(), interface.kind) != kinds.end();
  };
  if (is(kTunnels)) return "is a tunnel over another network (" + interface.kind + ")";
  if (is(kDeadEnds)) return "leads nowhere (" + interface.kind + ")";
  if (!interface.hardware) return "is a bridge of virtual ports alone";
  return "";
}

// What no rule can change.
std::string Unusable(const Interface& interface) {
  if (!interface.up) return "is down or has no carrier";
  if (interface.addresses.empty()) return "has no address";
  return "";
}

// The first rule against it; 0: none.
enum Rank : uint8_t { kGood = 0, kLan = 1, kVirtual = 2, kNever = 3 };
struct Judged {
  Rank rank = kGood;
  std::string why;
};

Judged Judge(const Interface& interface) {
  if (std::string why = Unusable(interface); !why.empty()) return {kNever, why};
  if (interface.loopback) return {kNever, "is the loopback"};
  if (interface.enslaved) return {kNever, "is part of a bridge or a bond"};
  if (const std::string why = VirtualKind(interface); !why.empty()) {
    return {kVirtual, why + " (name it in NCCL_RELAY_IFNAME to use it)"};
  }
  if (VirtualPrefix(interface.name) != "") {
    return {kVirtual, "has the name of a virtual network, " + std::string(VirtualPrefix(interface.name)) +
                          "... (name it in NCCL_RELAY_IFNAME to use it)"};
  }
  if (interface.default_route) return {kLan, "carries the default route (name it in NCCL_RELAY_IFNAME to use it)"};
  if (interface.wireless) return {kLan, "is Wi-Fi (name it in NCCL_RELAY_IFNAME to use it)"};
  return {};
}

void Take(Choice& choice, const std::string& name, bool last_resort) {
  if (choice.chosen.size() < fabric::kMaxPorts) {
    choice.chosen.push_back({name, last_resort});
    return;
  }
  choice.refused[name] = "is one more than the " + std::to_string(fabric::kMaxPorts) + " ports of a node";
}

bool LeadsToLan(const Interface& interface) { return interface.default_route || interface.wireless; }

Choice ByName(std::span<const Interface> interfaces, const std::string& ifname) {
  const NameList names = ParseNames(ifname);
  Choice choice;
  for (const Interface& interface : interfaces) {
    if (!names.Allows(interface)) {
      choice.refused[interface.name] = "is not in NCCL_RELAY_IFNAME=" + ifname;
    } else if (std::string why = Unusable(interface); !why.empty()) {
      choice.refused[interface.name] = why;
    } else {
      const bool by_its_whole_name = names.exact && !names.all_but;
      Take(choice, interface.name, LeadsToLan(interface) && !by_its_whole_name);
    }
  }
  // Beside cables the management LAN stays what it is, unless it was meant; alone it is what there is.
  const bool cables =
      std::any_of(choice.chosen.begin(), choice.chosen.end(), [](const auto& c) { return !c.last_resort; });
  for (Choice::Chosen& chosen : choice.chosen) chosen.last_resort = chosen.last_resort && cables;
  return choice;
}

Choice ByRank(std::span<const Interface> interfaces) {
  std::vector<Judged> judged;
  Rank best = kNever;
  for (const Interface& interface : interfaces) {
    judged.push_back(Judge(interface));
    best = std::min(best, judged.back().rank);
  }
  Choice choice;
  for (size_t i = 0; i < judged.size(); ++i) {
    if (judged[i].rank == best && best != kNever) {
      Take(choice, interfaces[i].name, best != kGood);
    } else {
      choice.refused[interfaces[i].name] = judged[i].why;
    }
  }
  choice.only_last_resort = best == kLan || best == kVirtual;
  return choice;
}

}  // namespace

const Choice::Chosen* Choice::Find(const std::string& name) const {
  auto found = std::find_if(chosen.begin(), chosen.end(), [&](const Chosen& c) { return c.name == name; });
  return found == chosen.end() ? nullptr : &*found;
}

Choice ChooseInterfaces(std::span<const Interface> interfaces, const std::string& ifname) {
  Choice choice = ifname.empty() ? ByRank(interfaces) : ByName(interfaces, ifname);
  std::sort(choice.chosen.begin(), choice.chosen.end(),
            [](const Choice::Chosen& a, const Choice::Chosen& b) { return a.name < b.name; });
  return choice;
}

}  // namespace relay::agent
