// Discovery over the kernel's own sockets and cables.
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>

#include "agent/discovery/hello_socket.h"
#include "unit/agent/discovery/network.h"

namespace relay::agent::discovery_network {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

TEST(DiscoveryNetwork, TwoNodesOnOneCableFindEachOther) {
  InOwnNetwork([] {
    OwnNetwork network;
    NetworkNode &a = network.Add("A"), &b = network.Add("B");
    network.Cable(a, "ab", "10.1.0.1/30", b, "ba", "10.1.0.2/30");
    network.Start(a);
    network.Start(b);
    ASSERT_TRUE(network.Until([&] { return a.Find("ab", "B") && b.Find("ba", "A"); }));
    const Adjacent& found = *a.Find("ab", "B");
    EXPECT_EQ(found.far.node, b.id);
    EXPECT_EQ(found.far.port, "ba");
    EXPECT_TRUE(found.far_address.IsLinkLocal()) << found.far_address.ToText();
    EXPECT_TRUE(found.near_address.IsLinkLocal()) << found.near_address.ToText();
    EXPECT_EQ(found.far_address.port(), OwnNetwork::kPort);
    EXPECT_FALSE(found.routed);
    ASSERT_EQ(a.ports.size(), 1U);
    EXPECT_EQ(a.ports[0].name, "ab");
    EXPECT_EQ(a.ports[0].speed_mbit, 10000U);
    network.For(milliseconds(1500));
    EXPECT_TRUE(a.lost.empty() && b.lost.empty());
    EXPECT_EQ(a.discovery->counts().refused_replay, 0U);
    EXPECT_EQ(a.discovery->counts().refused_ttl, 0U);
  });
}

TEST(DiscoveryNetwork, EveryKindOfCableIsFoundAndToldApart) {
  InOwnNetwork([] {
    OwnNetwork network;
    NetworkNode &a = network.Add("A"), &b = network.Add("B"), &c = network.Add("C");
    network.Cable(a, "ll", "", b, "local0", "");
    network.Cable(a, "slash31", "10.2.0.0/31", b, "slash31", "10.2.0.1/31");
    network.Cable(a, "twin1", "10.3.0.1/24", b, "twin1", "10.3.0.2/24");
    network.Cable(a, "twin2", "10.3.0.3/24", b, "twin2", "10.3.0.4/24");
    network.Cable(b, "bc", "10.3.0.5/24", c, "cb", "10.3.0.6/24");  // the same subnet once more
    for (NetworkNode* node : {&a, &b, &c}) network.Start(*node);
    ASSERT_TRUE(
        network.Until([&] { return a.adjacent.size() == 4 && b.adjacent.size() == 5 && c.adjacent.size() == 1; }));
    for (auto [near, far] : {std::pair("ll", "local0"), std::pair("slash31", "slash31"), std::pair("twin1", "twin1"),
                             std::pair("twin2", "twin2")}) {
      ASSERT_TRUE(a.Find(near, "B")) << near;
      EXPECT_EQ(a.Find(near, "B")->far.port, far);
    }
    EXPECT_EQ(b.Find("bc", "C")->far.port, "cb");
    network.For(seconds(2));
    EXPECT_EQ(a.adjacent.size() + b.adjacent.size() + c.adjacent.size(), 10U) << a.discovery->Describe() << "\n"
                                                                              << b.discovery->Describe() << "\n"
                                                                              << c.discovery->Describe();
    for (NetworkNode* node : {&a, &b, &c}) EXPECT_EQ(node->discovery->counts().refused_replay, 0U) << node->name;
  });
}

TEST(DiscoveryNetwork, Ipv4AloneWillDoAlsoForTwinsInOneSubnet) {
  InOwnNetwork([] {
    OwnNetwork network;
    NetworkNode &a = network.Add("A"), &b = network.Add("B");
    network.Cable(a, "twin1", "10.3.0.1/24", b, "twin1", "10.3.0.2/24");
    network.Cable(a, "twin2", "10.3.0.3/24", b, "twin2", "10.3.0.4/24");
    for (NetworkNode* node : {&a, &b}) {
      network.In(*node);
      network.Set("net/ipv6/conf/all/disable_ipv6", "1");
      network.Start(*node);
    }
    auto all = [&] { return a.adjacent.size() == 2 && b.adjacent.size() == 2; };
    ASSERT_TRUE(network.Until(all));
    EXPECT_EQ(a.Find("twin1", "B")->far_address.ToText(), "10.3.0.2:21517");
    EXPECT_EQ(a.Find("twin1", "B")->near_address.HostText(), "10.3.0.1");
    EXPECT_EQ(a.Find("twin2", "B")->far_address.ToText(), "10.3.0.4:21517");
    EXPECT_EQ(a.Find("twin2", "B")->near_address.HostText(), "10.3.0.3") << "not the kernel's choice for the subnet";
  });
}

TEST(DiscoveryNetwork, ThreeNodesOnALan) {
  InOwnNetwork([] {
    OwnNetwork network;
    NetworkNode &a = network.Add("A"), &b = network.Add("B"), &c = network.Add("C"), &lan = network.Add("switch");
    network.Ip(lan, "link add name sw type bridge");
    network.Ip(lan, "link set sw up");
    const std::pair<NetworkNode*, std::string> ends[] = {{&a, "1"}, {&b, "2"}, {&c, "3"}};
    for (const auto& [node, number] : ends) {
      network.Cable(*node, "lan", "10.4.0." + number + "/24", lan, "p" + number, "");
      network.Ip(lan, "link set p" + number + " master sw");
    }
    for (NetworkNode* node : {&a, &b, &c}) network.Start(*node);
    ASSERT_TRUE(
        network.Until([&] { return a.adjacent.size() == 2 && b.adjacent.size() == 2 && c.adjacent.size() == 2; }));
    EXPECT_TRUE(a.Find("lan", "B") && a.Find("lan", "C"));
  });
}

TEST(DiscoveryNetwork, ACableThatIsPulledIsNoticedAtOnceAndFoundAgain) {
  InOwnNetwork([] {
    OwnNetwork network;
    NetworkNode &a = network.Add("A"), &b = network.Add("B");
    // A veth whose index equals its peer's passes for one of its own kind: the kernel takes a second to tell of it.
    network.Ip(a, "link add name other type veth peer name another");
    network.Cable(a, "ab", "10.1.0.1/30", b, "ba", "10.1.0.2/30");
    network.Start(a);
    network.Start(b);
    ASSERT_TRUE(network.Until([&] { return a.Find("ab", "B") && b.Find("ba", "A"); }));
    network.For(milliseconds(1500));  // within a second of one event of a carrier, kernels may delay the next
    network.Ip(b, "link set ba down");
    ASSERT_TRUE(network.Until([&] { return a.adjacent.empty() && b.adjacent.empty(); }, seconds(1)));
    EXPECT_THAT(a.lost.back(), HasSubstr("ab is down or has no carrier"));
    EXPECT_TRUE(a.ports.empty());
    network.Ip(b, "link set ba up");
    ASSERT_TRUE(network.Until([&] { return a.Find("ab", "B") && b.Find("ba", "A"); }, seconds(3)));
    network.Ip(a, "link del ab");
    ASSERT_TRUE(network.Until([&] { return a.adjacent.empty() && b.adjacent.empty(); }, milliseconds(200)));
    network.Cable(a, "ab", "10.1.0.1/30", b, "ba", "10.1.0.2/30");
    EXPECT_TRUE(network.Until([&] { return a.Find("ab", "B") && b.Find("ba", "A"); }, seconds(3)));
  });
}

TEST(DiscoveryNetwork, TheInterfaceOfTheDefaultRouteIsLeftOut) {
  InOwnNetwork([] {
    OwnNetwork network;
    NetworkNode &a = network.Add("A"), &b = network.Add("B");
    network.Cable(a, "ab", "10.1.0.1/30", b, "ba", "10.1.0.2/30");
    network.Cable(a, "ctl", "10.9.0.1/24", b, "ctl", "10.9.0.2/24");
    network.Ip(a, "route add default via 10.9.0.2");
    network.Start(a);
    const auto left_out = [&] { return a.discovery->Describe().find("not used: ctl carries the default route"); };
    EXPECT_TRUE(network.Until([&] { return a.ports.size() == 1 && left_out() != std::string::npos; }));
    ASSERT_EQ(a.ports.size(), 1U);
    EXPECT_EQ(a.ports[0].name, "ab");
    ASSERT_EQ(a.discovery->Reachable().size(), 1U);
    EXPECT_EQ(a.discovery->Reachable()[0].ToText(), "10.1.0.1:21517");

    network.Ip(a, "route del default");
    EXPECT_TRUE(network.Until([&] { return a.ports.size() == 2; }));
    network.Ip(a, "-6 route add default dev ctl");
    EXPECT_TRUE(network.Until([&] { return a.ports.size() == 1; }));
    network.In(a);
    a.discovery->Reconfigure("=ctl", "");
    ASSERT_EQ(a.ports.size(), 1U);
    EXPECT_EQ(a.ports[0].name, "ctl");
    EXPECT_FALSE(a.ports[0].last_resort);
  });
}

// A hello of a stranger, sent by hand.
void SendHello(const std::string& interface, int ttl, const Hello& hello, std::byte key = std::byte{0}) {
  const unsigned index = if_nametoindex(interface.c_str());
  auto socket = HelloSocket::OpenWire(interface, index, AF_INET6, 9);
  ASSERT_TRUE(socket) << socket.error().what;
  fabric::Mac mac{};
  mac.fill(key);
  const auto bytes = EncodeHello(hello, mac);
  const SocketAddress group = HelloGroup(AF_INET6).WithPort(OwnNetwork::kPort);
  Status sent = socket->Send(bytes, group, {}, ttl);
  // Until the kernel has given the interface its address.
  for (int i = 0; i < 300 && !sent; ++i) {
    poll(nullptr, 0, 10);
    sent = socket->Send(bytes, group, {}, ttl);
  }
  EXPECT_TRUE(sent) << sent.error().what;
}

TEST(DiscoveryNetwork, WhatIsNoHelloOfThisWireIsRefusedAndCounted) {
  InOwnNetwork([] {
    OwnNetwork network;
    NetworkNode &a = network.Add("A"), &b = network.Add("B");
    network.Cable(a, "ab", "", b, "ba", "");
    network.Start(a);
    // What comes before the port is open is lost: the kernel may be a while in telling that the cable is in.
    ASSERT_TRUE(network.Until([&] { return a.ports.size() == 1 && !a.ports[0].addresses.empty(); }));
    const HelloCounts& counts = a.discovery->counts();
    Hello hello;
    hello.node = 7;
    hello.incarnation = 1;
    hello.sequence = 5;
    hello.port = "ba";
    hello.agent_port = 1;
    auto told = [&](const uint64_t& counter) { return network.Until([&] { return counter == 1; }); };
    network.In(b);
    SendHello("ba", 254, hello);
    EXPECT_TRUE(told(counts.refused_ttl));
    network.In(b);
    SendHello("ba", 255, hello);
    EXPECT_TRUE(told(counts.received));
    network.In(b);
    SendHello("ba", 255, hello);
    EXPECT_TRUE(told(counts.refused_replay));
    network.In(b);
    hello.sequence = 6;
    SendHello("ba", 255, hello, std::byte{3});
    EXPECT_TRUE(told(counts.refused_wrong_key)) << "a key, and this node has none";
    network.In(b);
    hello.port = "";
    SendHello("ba", 255, hello);
    EXPECT_TRUE(told(counts.refused_bytes));
    hello.port = "ba";
    network.In(b);
    hello.node = a.id;
    SendHello("ba", 255, hello);
    EXPECT_TRUE(told(counts.own));
    network.In(b);
    hello.incarnation = 2;
    SendHello("ba", 255, hello);
    EXPECT_TRUE(told(counts.contested));
    EXPECT_THAT(a.discovery->Describe(), HasSubstr("another machine uses this node's id"));
    EXPECT_TRUE(a.adjacent.empty());
  });
}

TEST(DiscoveryNetwork, KeysMustBeTheSame) {
  InOwnNetwork([] {
    OwnNetwork network;
    NetworkNode &a = network.Add("A"), &b = network.Add("B"), &c = network.Add("C"), &d = network.Add("D");
    network.Cable(a, "ab", "", b, "ba", "");
    network.Cable(a, "ac", "", c, "ca", "");
    network.Cable(a, "a-d", "", d, "d-a", "");
    a.key = b.key = std::byte{1};
    c.key = std::byte{2};
    for (NetworkNode* node : {&a, &b, &c, &d}) network.Start(*node);
    ASSERT_TRUE(network.Until([&] { return a.Find("ab", "B") && b.Find("ba", "A"); }));
    network.For(milliseconds(500));
    EXPECT_EQ(a.adjacent.size(), 1U);
    EXPECT_GT(a.discovery->counts().refused_wrong_key, 0U);
    EXPECT_GT(a.discovery->counts().refused_no_key, 0U);
    EXPECT_TRUE(c.adjacent.empty() && d.adjacent.empty());
  });
}

TEST(DiscoveryNetwork, LeavingAndComingBack) {
  InOwnNetwork([] {
    OwnNetwork network;
    NetworkNode &a = network.Add("A"), &b = network.Add("B");
    network.Cable(a, "ab", "", b, "ba", "");
    network.Start(a);
    network.Start(b);
    ASSERT_TRUE(network.Until([&] { return a.Find("ab", "B") && b.Find("ba", "A"); }));
    network.In(b);
    b.discovery->Leave();
    ASSERT_TRUE(network.Until([&] { return a.adjacent.empty(); }, seconds(1)));
    EXPECT_THAT(a.lost.back(), HasSubstr("has ended"));
    network.Stop(b);
    network.Start(b, 2);
    ASSERT_TRUE(network.Until([&] { return a.Find("ab", "B") && a.Find("ab", "B")->far_incarnation == 2; }));
  });
}

TEST(DiscoveryNetwork, ThePortNumberOfSomebodyElseIsAnErrorThatSaysWhatToDo) {
  InOwnNetwork([] {
    OwnNetwork network;
    NetworkNode& a = network.Add("A");
    network.Start(a);
    NetworkNode& twin = network.Add("twin");
    twin.space = a.space;
    network.In(a);
    Counters counters;
    auto second = Discovery::Start(twin.loop, {2, 1, "twin", OwnNetwork::kPort, "", ""}, {}, counters);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::kUsage);
    EXPECT_THAT(second.error().what, HasSubstr("NCCL_RELAY_PORT"));
  });
}

// A and C on both sides of a router.
struct Routed {
  OwnNetwork network;
  NetworkNode &a = network.Add("A"), &router = network.Add("router"), &c = network.Add("C");
  Routed() {
    network.Cable(a, "ar", "10.1.0.1/30", router, "ra", "10.1.0.2/30");
    network.Cable(c, "cr", "10.2.0.1/30", router, "rc", "10.2.0.2/30");
    network.In(router);
    network.Set("net/ipv4/ip_forward", "1");
    network.Ip(a, "route add 10.2.0.0/30 via 10.1.0.2");
    network.Ip(c, "route add 10.1.0.0/30 via 10.2.0.2");
  }
  void Probe() {
    network.In(a);
    a.discovery->Probe(c.id, {SocketAddress::Parse("10.2.0.1")->WithPort(OwnNetwork::kPort)});
  }
};

TEST(DiscoveryNetwork, BeyondARouterOnlyAProbeFindsAndSaysSo) {
  InOwnNetwork([] {
    Routed there;
    there.network.Start(there.a);
    there.network.Start(there.c);
    there.network.For(milliseconds(500));
    EXPECT_TRUE(there.a.adjacent.empty() && there.c.adjacent.empty());
    there.Probe();
    ASSERT_TRUE(there.network.Until([&] { return there.a.Find("ar", "C", true) && there.c.Find("cr", "A", true); }));
    const Adjacent& found = *there.a.Find("ar", "C", true);
    EXPECT_EQ(found.far.port, "cr");
    EXPECT_EQ(found.far_address.ToText(), "10.2.0.1:21517");
    EXPECT_EQ(found.near_address.HostText(), "10.1.0.1");
    there.network.For(seconds(4));
    EXPECT_TRUE(there.a.lost.empty() && there.c.lost.empty()) << there.a.discovery->Describe();
    there.network.In(there.c);
    there.c.discovery->Leave();
    EXPECT_TRUE(there.network.Until([&] { return there.a.adjacent.empty(); }, milliseconds(200)));
  });
}

TEST(DiscoveryNetwork, ARouterOfTheOwnFabricMakesNoLink) {
  InOwnNetwork([] {
    Routed there;
    there.a.own_fabric = {*SocketAddress::Parse("10.1.0.2")};
    there.network.Start(there.a);
    there.network.Start(there.c);
    there.Probe();
    ASSERT_TRUE(there.network.Until([&] { return there.a.discovery->counts().refused_through_fabric == 1; }));
    there.network.For(seconds(2));
    EXPECT_TRUE(there.a.adjacent.empty() && there.c.adjacent.empty()) << "two-way: C believes no more than A";
    EXPECT_THAT(there.a.discovery->Describe(), HasSubstr("through the own fabric"));
  });
}

TEST(DiscoveryNetwork, ARouterWithAnAgentMakesNoLinkThoughNobodyKnowsItsAddress) {
  InOwnNetwork([] {
    Routed there;
    for (NetworkNode* node : {&there.a, &there.router, &there.c}) there.network.Start(*node);
    there.Probe();
    ASSERT_TRUE(there.network.Until([&] { return there.a.discovery->counts().refused_through_fabric == 1; }));
    there.network.For(seconds(2));
    EXPECT_FALSE(there.a.Find("ar", "C", true));
    EXPECT_FALSE(there.c.Find("cr", "A", true));
    EXPECT_TRUE(there.a.Find("ar", "router") && there.c.Find("cr", "router"));
  });
}

TEST(DiscoveryNetwork, AListedPeerIsFoundHoweverLateItComes) {
  InOwnNetwork([] {
    Routed there;
    there.network.Start(there.a, 1, "", "10.2.0.1,localhost:9,nonsense:0");
    EXPECT_THAT(there.a.discovery->Describe(), HasSubstr("\"nonsense:0\" is no host[:port]"));
    there.network.For(seconds(1));
    there.network.Start(there.c);
    ASSERT_TRUE(there.network.Until([&] { return there.a.Find("ar", "C", true) && there.c.Find("cr", "A", true); },
                                    seconds(10)));
    there.network.Ip(there.router, "link set rc down");
    EXPECT_TRUE(there.network.Until([&] { return there.a.adjacent.empty(); }, seconds(5)));
  });
}

}  // namespace
}  // namespace relay::agent::discovery_network
