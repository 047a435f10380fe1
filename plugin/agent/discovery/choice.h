// Which of a node's interfaces are ports, and why the others are not. Pure.
#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include "agent/discovery/interface_watch.h"

namespace relay::agent {

// How it chooses:
//   NCCL_RELAY_IFNAME, when set, decides alone (NCCL's own syntax: "eth,ib" prefixes, "=eth0" exact, "^docker" all
//   but); beside other ports those of a default route and Wi-Fi are then of last resort, unless named with "=". Else
//   all but the loopback, those of a default route, Wi-Fi, tunnels, dead ends and bridges of virtual ports alone, as
//   the kernel calls them, and by name docker, br-, virbr, cni, flannel, cilium, cali, tailscale, wg, zt, tun, tap,
//   dummy, podman, lxc, vnet. Where nothing is left of that: those of a default route and Wi-Fi, as ports of last
//   resort; then the others.
struct Choice {
  struct Chosen {
    std::string name;
    bool last_resort = false;
  };
  std::vector<Chosen> chosen;  // by name
  std::map<std::string, std::string>
      refused;                    // interface -> "carries the default route (name it in NCCL_RELAY_IFNAME to use it)"
  bool only_last_resort = false;  // worth saying aloud

  const Chosen* Find(const std::string& name) const;  // null: not chosen
};
Choice ChooseInterfaces(std::span<const Interface> interfaces, const std::string& ifname);

}  // namespace relay::agent
