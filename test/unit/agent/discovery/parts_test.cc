// The smaller parts of discovery: what the kernel says, the list of peers, what was said before.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <rapidcheck/gtest.h>

#include "agent/discovery/interface_table.h"
#include "agent/discovery/name_resolver.h"
#include "agent/discovery/netlink_socket.h"
#include "agent/discovery/peer_list.h"
#include "agent/discovery/replay_guard.h"

namespace relay::agent::discovery_parts {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// Messages as the kernel writes them.
class Kernel {
 public:
  explicit Kernel(InterfaceTable& table) : table_(table) {}

  InterfaceTable::Touched Link(int index, const std::string& name, bool up, uint16_t type = RTM_NEWLINK,
                               const std::string& slave_kind = "") {
    ifinfomsg header{};
    header.ifi_index = index;
    header.ifi_flags = IFF_UP;
    if (up) header.ifi_flags |= static_cast<unsigned>(IFF_RUNNING) | 1U << 16;
    auto message = NetlinkRequest(type, 0, header);
    AddText(message, IFLA_IFNAME, name);
    if (!slave_kind.empty()) {
      std::vector<std::byte> nested;
      AddText(nested, IFLA_INFO_SLAVE_KIND, slave_kind);
      AddAttribute(message, IFLA_LINKINFO | NLA_F_NESTED, nested);
    }
    return Apply(message);
  }
  InterfaceTable::Touched Address(int index, const std::string& text, uint32_t flags = 0, uint16_t type = RTM_NEWADDR) {
    const SocketAddress address = *SocketAddress::Parse(text);
    ifaddrmsg header{};
    header.ifa_family = static_cast<uint8_t>(address.family());
    header.ifa_index = static_cast<uint32_t>(index);
    auto message = NetlinkRequest(type, 0, header);
    AddAttribute(message, IFA_ADDRESS, address.HostBytes());
    AddAttribute(message, IFA_FLAGS, std::as_bytes(std::span(&flags, 1)));
    return Apply(message);
  }
  InterfaceTable::Touched DefaultRoute(int index, uint32_t table = RT_TABLE_MAIN, uint8_t bits = 0) {
    rtmsg header{};
    header.rtm_family = AF_INET;
    header.rtm_type = RTN_UNICAST;
    header.rtm_dst_len = bits;
    auto message = NetlinkRequest(RTM_NEWROUTE, 0, header);
    AddAttribute(message, RTA_TABLE, std::as_bytes(std::span(&table, 1)));
    AddAttribute(message, RTA_OIF, std::as_bytes(std::span(&index, 1)));
    return Apply(message);
  }
  InterfaceTable::Touched Apply(std::vector<std::byte> message) {
    const auto length = static_cast<uint32_t>(message.size());
    std::memcpy(message.data(), &length, sizeof length);
    std::span<const std::byte> rest = message;
    auto taken = TakeMessage(rest);
    EXPECT_TRUE(taken && rest.empty());
    return table_.Apply(*taken);
  }

 private:
  static void AddText(std::vector<std::byte>& message, uint16_t type, const std::string& text) {
    AddAttribute(message, type, std::as_bytes(std::span(text.c_str(), text.size() + 1)));
  }
  InterfaceTable& table_;
};

TEST(InterfaceTable, FollowsLinksAndAddresses) {
  InterfaceTable table;
  Kernel kernel(table);
  EXPECT_EQ(kernel.Link(3, "cd", true).link, 3);
  kernel.Link(2, "ab", true);
  kernel.Address(2, "10.0.0.1");
  kernel.Address(2, "fe80::1");
  table.SetHardware(2, 200000, false);
  auto all = table.Interfaces();
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].name, "ab");
  EXPECT_TRUE(all[0].up);
  EXPECT_EQ(all[0].speed_mbit, 200000U);
  ASSERT_THAT(all[0].addresses, SizeIs(2));
  EXPECT_EQ(reinterpret_cast<const sockaddr_in6*>(all[0].addresses[1].get())->sin6_scope_id, 2U);

  EXPECT_FALSE(kernel.Link(2, "ab", true).lost);
  EXPECT_TRUE(kernel.Link(2, "ab", false).lost) << "the carrier is gone";
  EXPECT_EQ(table.Interfaces()[0].speed_mbit, 200000U);
  EXPECT_TRUE(kernel.Address(2, "10.0.0.1", 0, RTM_DELADDR).lost);
  EXPECT_FALSE(kernel.Address(2, "10.0.0.1", 0, RTM_DELADDR).lost) << "it was gone before";
  EXPECT_TRUE(kernel.Link(2, "ab", false, RTM_DELLINK).lost);
  EXPECT_THAT(table.Interfaces(), SizeIs(1));
  kernel.Address(9, "10.0.0.9");
  EXPECT_THAT(table.Interfaces(), SizeIs(1)) << "an address of nothing";
}

TEST(InterfaceTable, AnAddressCountsWhenItIsUsable) {
  InterfaceTable table;
  Kernel kernel(table);
  kernel.Link(2, "ab", true);
  for (uint32_t flags : {uint32_t{IFA_F_TENTATIVE}, uint32_t{IFA_F_DADFAILED}, uint32_t{IFA_F_TEMPORARY}}) {
    kernel.Address(2, "fe80::1", flags);
    EXPECT_THAT(table.Interfaces()[0].addresses, IsEmpty()) << flags;
  }
  kernel.Address(2, "fe80::1", IFA_F_TENTATIVE | IFA_F_OPTIMISTIC);
  EXPECT_THAT(table.Interfaces()[0].addresses, SizeIs(1));
  EXPECT_TRUE(kernel.Address(2, "fe80::1", IFA_F_DADFAILED).lost);
}

TEST(InterfaceTable, ABridgesPortIsEnslavedAVrfsIsNot) {
  InterfaceTable table;
  Kernel kernel(table);
  kernel.Link(2, "a", true, RTM_NEWLINK, "bridge");
  kernel.Link(3, "b", true, RTM_NEWLINK, "bond");
  kernel.Link(4, "c", true, RTM_NEWLINK, "vrf");
  kernel.Link(5, "d", true);
  std::vector<bool> enslaved;
  for (const Interface& interface : table.Interfaces()) enslaved.push_back(interface.enslaved);
  EXPECT_THAT(enslaved, ElementsAre(true, true, false, false));
  kernel.Link(2, "a", true);
  EXPECT_FALSE(table.Interfaces()[0].enslaved);
}

TEST(InterfaceTable, DefaultRoutesOfTheMainTableComeFirst) {
  InterfaceTable table;
  Kernel kernel(table);
  for (int i = 2; i < 5; ++i) kernel.Link(i, "eth" + std::to_string(i), true);
  auto defaults = [&] {
    std::vector<std::string> out;
    for (const Interface& i : table.Interfaces()) {
      if (i.default_route) out.push_back(i.name);
    }
    return out;
  };
  EXPECT_FALSE(kernel.DefaultRoute(4, RT_TABLE_MAIN, 24).routes) << "a subnet's";
  kernel.DefaultRoute(3, 101);
  EXPECT_THAT(defaults(), ElementsAre("eth3")) << "no other table has one";
  EXPECT_TRUE(kernel.DefaultRoute(2).routes);
  EXPECT_THAT(defaults(), ElementsAre("eth2")) << "a rail's own table is for its own sources";
  table.ClearRoutes();
  EXPECT_THAT(defaults(), IsEmpty());
}

RC_GTEST_PROP(InterfaceTableProperty, SurvivesWhateverComes, ()) {
  const auto bytes = *rc::gen::arbitrary<std::vector<uint8_t>>();
  InterfaceTable table;
  for (uint16_t type : {RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE, RTM_DELROUTE}) {
    NetlinkMessage message;
    message.header.nlmsg_type = type;
    message.body = std::as_bytes(std::span(bytes));
    table.Apply(message);
  }
  for (const Interface& interface : table.Interfaces()) RC_ASSERT(interface.index > 0);
}

TEST(NetlinkReader, TakesNothingThatIsNotWhole) {
  nlmsghdr header{};
  for (uint32_t length : {0U, 15U, 17U, 0xffffffffU}) {
    header.nlmsg_len = length;
    std::span<const std::byte> rest = std::as_bytes(std::span(&header, 1));
    EXPECT_FALSE(TakeMessage(rest)) << length;
  }
  rtattr attribute{};
  for (uint16_t length : {uint16_t{0}, uint16_t{3}, uint16_t{5}, uint16_t{0xffff}}) {
    attribute.rta_len = length;
    std::span<const std::byte> rest = std::as_bytes(std::span(&attribute, 1));
    EXPECT_FALSE(TakeAttribute(rest)) << length;
  }
}

std::vector<std::string> PeerTexts(const PeerList& list) {
  std::vector<std::string> out;
  for (const PeerName& peer : list.peers) {
    out.push_back(peer.host.empty() ? peer.address.ToText() : peer.host + " " + std::to_string(peer.port));
  }
  return out;
}

TEST(PeerList, TakesNamesAndAddressesWithAndWithoutPorts) {
  const PeerList list = ParsePeers("a.example, 10.0.0.1:9,b-2:7 ,2001:db8::1,[2001:db8::2]:8,,[::1]", 5);
  EXPECT_THAT(PeerTexts(list),
              ElementsAre("a.example 5", "10.0.0.1:9", "b-2 7", "[2001:db8::1]:5", "[2001:db8::2]:8", "[::1]:5"));
  EXPECT_THAT(list.mistakes, IsEmpty());
  EXPECT_THAT(ParsePeers("", 5).peers, IsEmpty());
}

TEST(PeerList, SaysWhatIsNoPeer) {
  for (const char* text : {"a:0", "a:65536", "a:x", "a:", "[::1", "[::1]x", "[::1]:", "a b", "a/b", "[a_b$]"}) {
    const PeerList list = ParsePeers(text, 5);
    EXPECT_THAT(list.peers, IsEmpty()) << text;
    EXPECT_THAT(list.mistakes, ElementsAre(HasSubstr(text))) << text;
  }
  std::string many;
  for (int i = 0; i < 300; ++i) many += "h" + std::to_string(i) + ",";
  EXPECT_THAT(ParsePeers(many, 5).peers, SizeIs(kMostListedPeers));
  EXPECT_THAT(ParsePeers(many, 5).mistakes, SizeIs(300 - kMostListedPeers));
}

TEST(NameResolver, FindsAddressesWithoutStoppingTheLoop) {
  SystemClock clock;
  EventLoop loop(clock);
  std::map<std::string, size_t> found;
  NameResolver resolver(
      loop, [&](const std::string& name, std::vector<SocketAddress> addresses) { found[name] = addresses.size(); });
  resolver.LookUp({"127.0.0.1", "::1"});
  resolver.LookUp({"127.0.0.2"});
  const TimePoint end = clock.Now() + std::chrono::seconds(20);
  while (found.size() < 3 && clock.Now() < end) loop.RunOnce(std::chrono::milliseconds(100));
  EXPECT_THAT(found,
              ElementsAre(testing::Pair("127.0.0.1", 1), testing::Pair("127.0.0.2", 1), testing::Pair("::1", 1)));
}

TEST(NameResolver, MayGoWhileANameIsLookedUp) {
  SystemClock clock;
  EventLoop loop(clock);
  for (int i = 0; i < 10; ++i) {
    NameResolver resolver(loop, [](const std::string&, auto) { FAIL() << "nobody is left to hear it"; });
    resolver.LookUp({"127.0.0.1"});
  }
  loop.RunOnce(std::chrono::milliseconds(10));
}

Hello Said(uint64_t incarnation, uint64_t sequence, const std::string& port = "p") {
  Hello hello;
  hello.node = 1;
  hello.incarnation = incarnation;
  hello.sequence = sequence;
  hello.port = port;
  return hello;
}

TEST(ReplayGuard, SequencesGrowOnEveryWayAndNoneLagsFarBehind) {
  ReplayGuard guard;
  const TimePoint now{std::chrono::hours(1)};
  EXPECT_TRUE(guard.Accept(Said(1, 10), "a", now));
  EXPECT_FALSE(guard.Accept(Said(1, 10), "a", now));
  EXPECT_FALSE(guard.Accept(Said(1, 9), "a", now));
  EXPECT_TRUE(guard.Accept(Said(1, 10), "b", now)) << "the same by another way";
  EXPECT_FALSE(guard.Accept(Said(1, 10), "b", now));
  EXPECT_TRUE(guard.Accept(Said(1, 12, "q"), "a", now));
  EXPECT_TRUE(guard.Accept(Said(1, 11), "a", now)) << "another port's overtook it";
  EXPECT_TRUE(guard.Accept(Said(1, 100), "a", now));
  EXPECT_FALSE(guard.Accept(Said(1, 35), "c", now)) << "an old one by a way never seen";
  EXPECT_TRUE(guard.Accept(Said(1, 36), "c", now));
}

TEST(ReplayGuard, ANewIncarnationStartsAnewAndAnOldOneIsOver) {
  ReplayGuard guard;
  TimePoint now{std::chrono::hours(1)};
  EXPECT_TRUE(guard.Accept(Said(5, 1000), "a", now));
  EXPECT_TRUE(guard.Accept(Said(6, 1), "a", now));
  EXPECT_FALSE(guard.Accept(Said(5, 1001), "a", now));
  now += ReplayGuard::kMemory + std::chrono::seconds(1);
  EXPECT_TRUE(guard.Accept(Said(5, 1001), "a", now)) << "after long silence";
}

TEST(ReplayGuard, ItsTablesAreBounded) {
  ReplayGuard guard;
  const TimePoint now{std::chrono::hours(1)};
  Hello hello = Said(1, 1);
  for (hello.node = 1; hello.node <= ReplayGuard::kMostNodes; ++hello.node) {
    ASSERT_TRUE(guard.Accept(hello, "a", now));
  }
  EXPECT_FALSE(guard.Accept(hello, "a", now));
  EXPECT_TRUE(guard.Accept(hello, "a", now + ReplayGuard::kMemory + std::chrono::seconds(1)));
  ReplayGuard ways;
  for (size_t i = 0; i < ReplayGuard::kMostWays; ++i) {
    ASSERT_TRUE(ways.Accept(Said(1, 5), std::to_string(i), now));
  }
  EXPECT_FALSE(ways.Accept(Said(1, 5), "one more", now));
  ASSERT_TRUE(ways.Accept(Said(1, 100), "0", now));
  EXPECT_TRUE(ways.Accept(Said(1, 101), "one more", now)) << "those that fell behind made room";
}

}  // namespace
}  // namespace relay::agent::discovery_parts
