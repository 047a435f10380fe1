// Which interfaces become ports.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/discovery/choice.h"

namespace relay::agent::discovery_choice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Interface Nic(const std::string& name, const std::string& address = "10.0.0.1") {
  Interface out;
  out.name = name;
  out.up = true;
  if (!address.empty()) out.addresses.push_back(*SocketAddress::Parse(address));
  return out;
}
Interface Lan(const std::string& name) {
  Interface out = Nic(name);
  out.default_route = true;
  return out;
}
Interface Wifi(const std::string& name) {
  Interface out = Nic(name);
  out.wireless = true;
  return out;
}
Interface Down(const std::string& name) {
  Interface out = Nic(name);
  out.up = false;
  return out;
}
Interface Loopback() {
  Interface out = Nic("lo", "127.0.0.1");
  out.loopback = true;
  return out;
}
Interface Slave(const std::string& name) {
  Interface out = Nic(name, "fe80::1");
  out.enslaved = true;
  return out;
}

std::vector<std::string> Names(const Choice& choice, bool last_resort) {
  std::vector<std::string> out;
  for (const auto& chosen : choice.chosen) {
    if (chosen.last_resort == last_resort) out.push_back(chosen.name);
  }
  return out;
}

TEST(ChooseInterfaces, TakesCablesAndLeavesTheRest) {
  const std::vector<Interface> interfaces = {Loopback(),        Lan("eth0"),          Wifi("wlan0"), Nic("ab"),
                                             Nic("docker0"),    Nic("cd", "fe80::1"), Down("ef"),    Nic("gh", ""),
                                             Slave("veth1234"), Nic("tailscale0")};
  Choice choice = ChooseInterfaces(interfaces, "");
  EXPECT_THAT(Names(choice, false), ElementsAre("ab", "cd"));
  EXPECT_THAT(Names(choice, true), IsEmpty());
  EXPECT_FALSE(choice.only_last_resort);
  EXPECT_EQ(choice.refused.size(), interfaces.size() - 2);
  EXPECT_THAT(choice.refused["lo"], HasSubstr("loopback"));
  EXPECT_THAT(choice.refused["eth0"], HasSubstr("default route"));
  EXPECT_THAT(choice.refused["wlan0"], HasSubstr("Wi-Fi"));
  EXPECT_THAT(choice.refused["docker0"], HasSubstr("NCCL_RELAY_IFNAME"));
  EXPECT_THAT(choice.refused["ef"], HasSubstr("carrier"));
  EXPECT_THAT(choice.refused["gh"], HasSubstr("no address"));
  EXPECT_THAT(choice.refused["veth1234"], HasSubstr("bridge"));
}

TEST(ChooseInterfaces, FallsBackToTheLanThenToVirtualNetworks) {
  Choice lan = ChooseInterfaces(std::vector{Loopback(), Lan("eth0"), Wifi("wlan0"), Nic("wg0")}, "");
  EXPECT_THAT(Names(lan, true), ElementsAre("eth0", "wlan0"));
  EXPECT_TRUE(lan.only_last_resort);
  EXPECT_TRUE(lan.refused.contains("wg0"));

  Choice tunnel = ChooseInterfaces(std::vector{Loopback(), Down("eth0"), Nic("wg0")}, "");
  EXPECT_THAT(Names(tunnel, true), ElementsAre("wg0"));
  EXPECT_TRUE(tunnel.only_last_resort);

  Choice nothing = ChooseInterfaces(std::vector{Loopback(), Down("eth0")}, "");
  EXPECT_THAT(nothing.chosen, IsEmpty());
  EXPECT_FALSE(nothing.only_last_resort);
}

TEST(ChooseInterfaces, ACableThatIsOutDoesNotCount) {
  Choice choice = ChooseInterfaces(std::vector{Lan("eth0"), Down("ab")}, "");
  EXPECT_THAT(Names(choice, true), ElementsAre("eth0"));
}

TEST(ChooseInterfaces, EveryVirtualNameIsKnown) {
  for (const char* name : {"docker0", "br-12ab", "virbr0", "cni0", "flannel.1", "cilium_host", "cali12", "tailscale0",
                           "wg0", "ztabc", "tun0", "tap0", "dummy0", "podman1", "lxcbr0", "vnet3"}) {
    Choice choice = ChooseInterfaces(std::vector{Nic(name), Nic("ab")}, "");
    EXPECT_TRUE(choice.refused.contains(name)) << name;
  }
}

Interface Kind(const std::string& name, const std::string& kind) {
  Interface out = Nic(name);
  out.kind = kind;
  return out;
}

TEST(ChooseInterfaces, WhatTheKernelCallsATunnelIsNoCableWhateverItsName) {
  for (const char* kind : {"vxlan", "geneve", "gre", "ip6tnl", "sit", "wireguard", "tun", "xfrm", "dummy"}) {
    Choice choice = ChooseInterfaces(std::vector{Kind("mesh0", kind), Nic("ab")}, "");
    EXPECT_THAT(Names(choice, false), ElementsAre("ab")) << kind;
    EXPECT_THAT(choice.refused["mesh0"], AllOf(HasSubstr(kind), HasSubstr("NCCL_RELAY_IFNAME"))) << kind;
    Choice alone = ChooseInterfaces(std::vector{Kind("mesh0", kind)}, "");
    EXPECT_THAT(Names(alone, true), ElementsAre("mesh0")) << "a last resort";
    Choice named = ChooseInterfaces(std::vector{Kind("mesh0", kind), Nic("ab")}, "=mesh0");
    EXPECT_THAT(Names(named, false), ElementsAre("mesh0"));
  }
  for (const char* kind : {"", "veth", "vlan", "bond", "macvlan", "ipoib", "vrf"}) {
    EXPECT_THAT(Names(ChooseInterfaces(std::vector{Kind("mesh0", kind)}, ""), false), ElementsAre("mesh0")) << kind;
  }
}

TEST(ChooseInterfaces, ABridgeIsACableWhereAPhysicalPortIsInIt) {
  Interface bridge = Kind("host0", "bridge");
  EXPECT_THAT(Names(ChooseInterfaces(std::vector{bridge, Nic("ab")}, ""), false), ElementsAre("ab", "host0"));
  bridge.hardware = false;
  Choice choice = ChooseInterfaces(std::vector{bridge, Nic("ab")}, "");
  EXPECT_THAT(Names(choice, false), ElementsAre("ab"));
  EXPECT_THAT(choice.refused["host0"], HasSubstr("bridge of virtual ports alone"));
}

struct NamedCase {
  const char* ifname;
  std::vector<std::string> chosen, last_resort = {};
};

TEST(ChooseInterfaces, NamesDecideAloneInNcclsSyntax) {
  const std::vector<Interface> interfaces = {Loopback(),   Lan("eth0"),    Nic("eth1"), Nic("eth10"),
                                             Down("eth2"), Nic("docker0"), Nic("ib0"),  Nic("ib1", "")};
  const NamedCase cases[] = {{"eth", {"eth1", "eth10"}, {"eth0"}},
                             {"eth1", {"eth1", "eth10"}},
                             {"=eth1", {"eth1"}},
                             {"=eth0,ib0", {"eth0", "ib0"}},
                             {"eth1,ib", {"eth1", "eth10", "ib0"}},
                             {"^docker,eth", {"ib0"}},
                             {"^=eth1", {"docker0", "eth10", "ib0"}, {"eth0"}},
                             {"=lo", {"lo"}},
                             {"eth0:1", {"eth0"}},
                             {"nothing", {}},
                             {",", {}}};
  for (const auto& [ifname, expected, last_resort] : cases) {
    Choice choice = ChooseInterfaces(interfaces, ifname);
    EXPECT_EQ(Names(choice, false), expected) << ifname;
    EXPECT_EQ(Names(choice, true), last_resort) << ifname;
    EXPECT_FALSE(choice.only_last_resort) << ifname;
    EXPECT_EQ(choice.chosen.size() + choice.refused.size(), interfaces.size()) << ifname;
  }
}

TEST(ChooseInterfaces, ANodeHasABoundedNumberOfPorts) {
  std::vector<Interface> many;
  for (int i = 0; i < 70; ++i) many.push_back(Nic("p" + std::to_string(i)));
  Choice choice = ChooseInterfaces(many, "");
  EXPECT_EQ(choice.chosen.size(), 64U);
  EXPECT_EQ(choice.refused.size(), 6U);
}

}  // namespace
}  // namespace relay::agent::discovery_choice
